// A directory with a file for each entry: what one machine keeps when it has no Redis. Safe with several processes, since
// a file is replaced as a whole; what is over stays on the disk until it is written again, or found by `keys` days later.
import { createHash } from 'node:crypto'
import { open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { TempError } from '../errors.ts'
import type { CacheEntry, CacheLog, OnDamage, SharedCache } from './cache.ts'
import { createEntryFiles, hasCode } from './entry-file.ts'
import { expiresAtMs } from './ttl.ts'

export interface FileCacheOptions {
  /** Made with the first entry, for its owner alone. */
  readonly directory: string
  readonly clock: Clock
  /** Whether what is set survives a power cut; a flush of the disk for each entry. Default `true`. */
  readonly lasting?: boolean
  /** Default `forget`. */
  readonly onDamage?: OnDamage
  readonly log?: CacheLog
}

/** So long after its end nobody is about to write it anew in the same moment. */
const SWEPT_AFTER_MS = 86_400_000
/** A file is empty for the time of a few system calls; one that is older was left so. */
const WRITING_MS = 1000
/** A claim is held for the time of a few system calls; one that is older was left behind. */
const CLAIM_MS = 30_000

/** A file that cannot be read or written is a TempError `cache/unreachable`. */
export function createFileCache(options: FileCacheOptions): SharedCache {
  const { directory, clock, lasting = true, onDamage = 'forget', log } = options
  const files = createEntryFiles({ directory, lasting })
  // A name that any file system takes, and that tells nothing of the key.
  const fileOf = (key: string): string =>
    join(directory, `${createHash('sha256').update(key).digest('hex')}.json`)

  const read = async (key: string): Promise<CacheEntry | 'absent' | 'damaged'> => {
    const text = await reaching(fileOf(key), () => readIfThere(fileOf(key)))
    if (text === undefined) return 'absent'
    const entry = parseFile(text, key)
    if (entry === undefined) return 'damaged'
    return entry.expiresAtMs > clock.nowMs() ? entry : 'absent'
  }
  const getEntry = async (key: string): Promise<CacheEntry | undefined> => {
    const found = await read(key)
    if (found === 'damaged') {
      const damage = `${fileOf(key)} is damaged`
      if (onDamage === 'fail') throw new TempError('cache/malformed', damage)
      log?.warn(`cache: ${damage}`)
    }
    return typeof found === 'string' ? undefined : found
  }
  const forget = (key: string): Promise<void> =>
    reaching(fileOf(key), () => rm(fileOf(key), { force: true }))

  const textOf = (key: string, value: string, ttlSeconds: number): string =>
    JSON.stringify({ key, value, expiresAtMs: expiresAtMs(clock, ttlSeconds) })

  const set = async (key: string, value: string, ttlSeconds: number): Promise<void> => {
    const text = textOf(key, value, ttlSeconds)
    if (ttlSeconds <= 0) return forget(key)
    await reaching(fileOf(key), () => files.write(fileOf(key), text))
  }
  /** What is over, or damaged, gives its place to one of those who want it. */
  const replaceIfOver = async (key: string, text: string): Promise<boolean> => {
    const file = fileOf(key)
    const done = await whileAlone(`${file}.claim`, async () => {
      const isYoung = (await ageMs(file)) < WRITING_MS
      if (isYoung && (await read(key)) === 'damaged') return false // somebody is writing it
      if ((await getEntry(key)) !== undefined) return false
      await files.write(file, text)
      return true
    })
    return done ?? false
  }
  const keyIn = async (file: string): Promise<string | undefined> => {
    const text = await readIfThere(file)
    const entry = text === undefined ? undefined : parseAny(text)
    if (entry === undefined) return undefined
    if (entry.expiresAtMs > clock.nowMs()) return entry.key
    if (entry.expiresAtMs + SWEPT_AFTER_MS < clock.nowMs()) await rm(file, { force: true })
    return undefined
  }

  return {
    getEntry,
    async get(key) {
      return (await getEntry(key))?.value
    },
    set,
    async setIfAbsent(key, value, ttlSeconds) {
      const text = textOf(key, value, ttlSeconds)
      if (ttlSeconds <= 0) return false
      return reaching(fileOf(key), async () => {
        const created = await files.create(fileOf(key), text)
        return created === 'done' || replaceIfOver(key, text)
      })
    },
    async keys(prefix) {
      return reaching(directory, async () => {
        const found: string[] = []
        for (const name of await namesIn(directory)) {
          const key = await keyIn(join(directory, name))
          if (key?.startsWith(prefix)) found.push(key)
        }
        return found
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
    if (cause instanceof TempError) throw cause
    const reason = cause instanceof Error ? cause.message : 'unknown failure'
    throw new TempError('cache/unreachable', `${file}: ${reason}`, { cause })
  }
}

/** What no two processes do at once; undefined: another one is doing it. */
async function whileAlone<T>(claim: string, work: () => Promise<T>): Promise<T | undefined> {
  if ((await ageMs(claim)) > CLAIM_MS) await rm(claim, { force: true })
  try {
    await (await open(claim, 'wx', 0o600)).close()
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return undefined
    throw error
  }
  try {
    return await work()
  } finally {
    await rm(claim, { force: true })
  }
}

/** Without a file: none. */
async function ageMs(file: string): Promise<number> {
  return Date.now() - ((await unlessAbsent(() => stat(file)))?.mtimeMs ?? Infinity)
}

async function namesIn(directory: string): Promise<readonly string[]> {
  const names = (await unlessAbsent(() => readdir(directory))) ?? []
  return names.filter((name) => name.endsWith('.json'))
}

function readIfThere(file: string): Promise<string | undefined> {
  return unlessAbsent(() => readFile(file, 'utf8'))
}

async function unlessAbsent<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** The entry, or `undefined` for what we did not write, or not under this key. */
function parseFile(text: string, wanted: string): CacheEntry | undefined {
  const entry = parseAny(text)
  return entry?.key === wanted ? { value: entry.value, expiresAtMs: entry.expiresAtMs } : undefined
}

function parseAny(text: string): (CacheEntry & { readonly key: string }) | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined
  if (!('key' in parsed) || !('value' in parsed) || !('expiresAtMs' in parsed)) return undefined
  const { key, value, expiresAtMs } = parsed
  if (typeof key !== 'string' || typeof value !== 'string' || typeof expiresAtMs !== 'number')
    return undefined
  return Number.isFinite(expiresAtMs) ? { key, value, expiresAtMs } : undefined // 1e999 is JSON
}
