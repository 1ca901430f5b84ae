// A directory with a file for each entry: what one machine keeps when it has no Redis. Safe with several processes, since
// a file is replaced as a whole; what is over stays on the disk until it is written again.
import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { writeAtomically } from '../disk/atomic-file.ts'
import { makeOwnDirectory } from '../disk/own-directory.ts'
import { TempError } from '../errors.ts'
import type { CacheEntry, CacheLog, ExpiringCache, OnDamage } from './cache.ts'
import { expiresAtMs } from './ttl.ts'

export interface FileCacheOptions {
  /** Made with the first entry, for its owner alone. */
  readonly directory: string
  readonly clock: Clock
  /** Default `forget`. */
  readonly onDamage?: OnDamage
  readonly log?: CacheLog
}

/** A file that cannot be read or written is a TempError `cache/unreachable`. */
export function createFileCache(options: FileCacheOptions): ExpiringCache {
  const { directory, clock, onDamage = 'forget', log } = options
  // A name that any file system takes, and that tells nothing of the key.
  const fileOf = (key: string): string =>
    join(directory, `${createHash('sha256').update(key).digest('hex')}.json`)

  const getEntry = async (key: string): Promise<CacheEntry | undefined> => {
    const file = fileOf(key)
    const text = await reaching(file, () => readIfThere(file))
    if (text === undefined) return undefined
    const entry = parseFile(text, key)
    if (entry === undefined) {
      if (onDamage === 'fail') throw new TempError('cache/malformed', `${file} is damaged`)
      log?.warn(`cache: ${file} is damaged`)
    }
    return entry && entry.expiresAtMs > clock.nowMs() ? entry : undefined
  }
  const forget = (key: string): Promise<void> =>
    reaching(fileOf(key), () => rm(fileOf(key), { force: true }))

  return {
    getEntry,
    async get(key) {
      return (await getEntry(key))?.value
    },
    async set(key, value, ttlSeconds) {
      const text = JSON.stringify({ key, value, expiresAtMs: expiresAtMs(clock, ttlSeconds) })
      if (ttlSeconds <= 0) return forget(key)
      await reaching(fileOf(key), async () => {
        await makeOwnDirectory(directory)
        await writeAtomically(fileOf(key), new TextEncoder().encode(text), { mode: 0o600 })
      })
    },
    delete: forget,
    async close() {},
  }
}

async function reaching<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unknown failure'
    throw new TempError('cache/unreachable', `${file}: ${reason}`, { cause })
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** The entry, or `undefined` for what we did not write, or not under this key. */
function parseFile(text: string, wanted: string): CacheEntry | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined
  if (!('key' in parsed) || !('value' in parsed) || !('expiresAtMs' in parsed)) return undefined
  const { key, value, expiresAtMs } = parsed
  if (key !== wanted || typeof value !== 'string' || typeof expiresAtMs !== 'number')
    return undefined
  return Number.isFinite(expiresAtMs) ? { value, expiresAtMs } : undefined // 1e999 is JSON
}
