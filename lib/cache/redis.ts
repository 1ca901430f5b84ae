// The cache that several servers share: one Redis, several under Sentinel, or a Cluster.
import type { Clock } from '../clock.ts'
import { TempError } from '../errors.ts'
import type { CacheEntry, CacheLog, OnDamage, SharedCache } from './cache.ts'
import { formatEnvelope, parseEnvelope } from './redis-envelope.ts'
import { clientFactory, type RedisConnectionOptions } from './redis-client.ts'
import { createRedisLink } from './redis-link.ts'
import { expiresAtMs } from './ttl.ts'

export type { RedisNode, RedisTarget } from './redis-client.ts'

export interface RedisCacheOptions extends RedisConnectionOptions {
  readonly clock: Clock
  /** Default `forget`. */
  readonly onDamage?: OnDamage
  /** Told of values under our keys that we did not write. */
  readonly log?: CacheLog
}

const CLAIM = '/claim'
const CLAIM_SECONDS = 30

/**
 * Connects with the first command. What goes wrong with Redis is a TempError `cache/unreachable`, in no more than
 * `timeoutMs`; a value that is not ours is reported and as good as none, unless `onDamage` says otherwise.
 */
export function createRedisCache(options: RedisCacheOptions): SharedCache {
  const { clock, log, keyPrefix = 'hisho:', timeoutMs = 500, onDamage = 'forget' } = options
  const { open, secrets } = clientFactory(options, timeoutMs)
  const link = createRedisLink({ open, secrets, timeoutMs })

  const getEntry = async (key: string): Promise<CacheEntry | undefined> => {
    const text = await link.run(async (client) => {
      try {
        return await client.get(keyPrefix + key)
      } catch (error) {
        if (isWrongType(error)) return ''
        throw error
      }
    })
    if (text === null) return undefined
    const entry = parseEnvelope(text)
    if (entry === undefined) {
      const what = `Redis holds a foreign value under ${keyPrefix}${key}`
      if (onDamage === 'fail') throw new TempError('cache/malformed', what)
      log?.warn(`cache: ${what}`)
    }
    return entry && entry.expiresAtMs > clock.nowMs() ? entry : undefined
  }

  const set = async (key: string, value: string, ttlSeconds: number): Promise<void> => {
    const text = formatEnvelope({ value, expiresAtMs: expiresAtMs(clock, ttlSeconds) })
    await link.run((client) =>
      ttlSeconds > 0
        ? client.set(keyPrefix + key, text, { EX: Math.ceil(ttlSeconds) })
        : client.del(keyPrefix + key),
    )
  }
  const setNew = async (key: string, value: string, ttlSeconds: number): Promise<boolean> => {
    const text = formatEnvelope({ value, expiresAtMs: expiresAtMs(clock, ttlSeconds) })
    if (ttlSeconds <= 0) return false
    const EX = Math.ceil(ttlSeconds)
    return (
      (await link.run((client) => client.set(keyPrefix + key, text, { EX, NX: true }))) !== null
    )
  }
  /** Of keys of one page: what is over by our clock is not there, and what is damaged is. */
  const liveOf = async (page: readonly string[]): Promise<readonly string[]> => {
    const texts = await link.run((client) => Promise.all(page.map((key) => client.get(key))))
    return page.filter((_, at) => {
      const text = texts[at]
      if (typeof text !== 'string') return false
      const entry = parseEnvelope(text)
      return entry === undefined || entry.expiresAtMs > clock.nowMs()
    })
  }

  return {
    getEntry,
    async get(key) {
      return (await getEntry(key))?.value
    },
    set,
    async setIfAbsent(key, value, ttlSeconds) {
      if (await setNew(key, value, ttlSeconds)) return true
      if (ttlSeconds <= 0 || (await getEntry(key)) !== undefined) return false
      // It is over by our clock and not yet by that of Redis: whoever has the claim replaces it.
      if (!(await setNew(`${key}${CLAIM}`, '', CLAIM_SECONDS))) return false
      const isOver = (await getEntry(key)) === undefined
      if (isOver) await set(key, value, ttlSeconds)
      await link.run((client) => client.del(`${keyPrefix}${key}${CLAIM}`))
      return isOver
    },
    async keys(prefix) {
      const found = new Set<string>()
      let pages: AsyncIterator<readonly string[]> | undefined
      for (;;) {
        const page = await link.run((client) => {
          pages ??= client.pages(`${escapeGlob(keyPrefix + prefix)}*`)
          return pages.next()
        })
        if (page.done === true) return [...found]
        for (const key of await liveOf(page.value))
          if (!key.endsWith(CLAIM)) found.add(key.slice(keyPrefix.length))
      }
    },
    async delete(key) {
      await link.run((client) => client.del(keyPrefix + key))
    },
    close: () => link.close(),
  }
}

/** What SCAN would take for more than itself. */
function escapeGlob(text: string): string {
  return text.replaceAll(/[\\*?[\]^-]/g, '\\$&')
}

function isWrongType(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('WRONGTYPE')
}
