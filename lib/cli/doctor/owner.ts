// Who must be able to read our secrets: the user that Haraka becomes, or else the owner of its directory.
import { readFileSync, statSync } from 'node:fs'
import type { HarakaDirectory } from '../haraka-directory.ts'

export function ownerOf(file: string): number {
  return statSync(file).uid
}

export function wantedOwner(haraka: HarakaDirectory): {
  readonly uid: number
  readonly gid: number
  readonly why: string
} {
  const user = haraka.ownIni('smtp.ini')['main']?.['user']
  const uid = typeof user === 'string' || typeof user === 'number' ? uidOf(String(user)) : undefined
  const config = statSync(haraka.config)
  return uid === undefined
    ? { uid: config.uid, gid: config.gid, why: 'has its directory from user' }
    : { uid, gid: config.gid, why: 'runs as user' }
}

/** By number or by name. Users that are not in /etc/passwd (LDAP and the like) are not found. */
function uidOf(user: string): number | undefined {
  if (/^\d+$/.test(user)) return Number(user)
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((entry) => entry.startsWith(`${user}:`))
    return line === undefined ? undefined : Number(line.split(':')[2])
  } catch {
    return undefined
  }
}
