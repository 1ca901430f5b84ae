// The store before the first command writes to it: made by root, it must not be root's, or Haraka cannot use it.
import { chownSync, existsSync, mkdirSync } from 'node:fs'
import type { SharedSettings } from '../services/settings.ts'
import { wantedOwner } from './doctor/owner.ts'
import type { HarakaDirectory } from './haraka-directory.ts'

export function prepareStore(
  { redis, storeDirectory }: SharedSettings,
  haraka: HarakaDirectory,
): void {
  if (process.geteuid?.() !== 0 || redis || existsSync(storeDirectory)) return
  const { uid, gid } = wantedOwner(haraka)
  if (uid === 0) return
  mkdirSync(storeDirectory, { recursive: true, mode: 0o700 })
  chownSync(storeDirectory, uid, gid)
}
