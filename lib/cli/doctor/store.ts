// The directory in which is kept what was learnt of other domains: Haraka must be able to write there, or mail is deferred.
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { SharedSettings } from '../../services/settings.ts'
import type { HarakaDirectory } from '../haraka-directory.ts'
import { ok, warn, type Finding } from './finding.ts'
import { ownerOf, wantedOwner } from './owner.ts'

const ROOT = 0

export function checkStore(
  { redis, storeDirectory: path }: SharedSettings,
  haraka: HarakaDirectory,
): Finding {
  if (redis) return ok('store', 'in Redis')
  const { uid, why } = wantedOwner(haraka)
  const make = `install -d -m 0700 -o ${uid} ${path}`
  if (!existsSync(path))
    return existsSync(dirname(path)) && mayWrite(dirname(path), uid)
      ? ok('store', 'not there yet: Haraka makes it')
      : warn(
          'store',
          `${path} does not exist, and Haraka, which ${why} ${uid}, cannot make it`,
          make,
        )
  if (!statSync(path).isDirectory()) return warn('store', `${path} is no directory`, make)
  const give = `chown -R ${uid} ${path} && chmod 0700 ${path}`
  if (!mayWrite(path, uid))
    return warn('store', `${path}: Haraka, which ${why} ${uid}, cannot write there`, give)
  const files = readdirSync(path).filter((name) => name.endsWith('.json'))
  const foreign = files.filter((name) => uid !== ROOT && ownerOf(join(path, name)) !== uid)
  if (foreign.length > 0)
    return warn('store', `${path}: Haraka, which ${why} ${uid}, cannot read ${foreign[0]}`, give)
  return (statSync(path).mode & 0o077) === 0
    ? ok('store', `${files.length} entries`)
    : warn('store', `${path}: others may see with whom you write`, `chmod 0700 ${path}`)
}

/** As far as owner and mode tell. */
function mayWrite(path: string, uid: number): boolean {
  const { mode } = statSync(path)
  return uid === ROOT || (ownerOf(path) === uid && (mode & 0o300) === 0o300)
}
