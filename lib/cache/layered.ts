// Memory before Redis. What is wrong with Redis costs sharing, never an answer: memory goes on alone.
import type { Clock } from '../clock.ts'
import type { Cache, CacheLog, ExpiringCache } from './cache.ts'

export interface LayeredCacheOptions {
  readonly memory: Cache
  readonly redis: ExpiringCache
  readonly clock: Clock
  readonly log: CacheLog
  /** How long Redis is left alone after a failure. Default 5000. */
  readonly retryAfterMs?: number
}

const PROBE_KEY = 'layered/probe'
const PROBE_TTL_SECONDS = 60
const MAX_MISSED = 10_000

/** Never throws because of Redis. Closes both layers when it is closed. */
export function createLayeredCache({
  memory,
  redis,
  clock,
  log,
  retryAfterMs = 5000,
}: LayeredCacheOptions): Cache {
  let downSinceMs: number | undefined
  let probing = false
  let closed = false
  /** Keys that Redis was not told about: what it has there is out of date. */
  const missed = new Set<string>()

  const fail = (error: unknown): void => {
    if (downSinceMs === undefined && !closed) {
      log.warn(`cache: going on with memory alone: ${messageOf(error)}`)
    }
    downSinceMs = clock.nowMs()
  }
  const miss = (key: string): void => {
    if (missed.size < MAX_MISSED) missed.add(key)
  }

  /** In the background: no mail waits for a Redis that was down a moment ago. */
  const probe = async (): Promise<void> => {
    probing = true
    try {
      // By a write, since a Redis that is full or a replica still reads.
      await redis.set(PROBE_KEY, '', PROBE_TTL_SECONDS)
      for (const key of missed) {
        await redis.delete(key)
        missed.delete(key)
      }
      downSinceMs = undefined
      if (!closed) log.info('cache: Redis is back')
    } catch (error) {
      fail(error)
    } finally {
      probing = false
    }
  }

  const isUp = (): boolean => {
    if (downSinceMs === undefined) return true
    if (!probing && !closed && clock.nowMs() >= downSinceMs + retryAfterMs) void probe()
    return false
  }

  const tell = async (key: string, command: () => Promise<void>): Promise<void> => {
    if (!isUp()) return miss(key)
    try {
      await command()
    } catch (error) {
      miss(key)
      fail(error)
    }
  }

  return {
    async get(key) {
      const value = await memory.get(key)
      if (value !== undefined || !isUp()) return value
      try {
        const entry = await redis.getEntry(key)
        if (entry === undefined) return undefined
        await memory.set(key, entry.value, (entry.expiresAtMs - clock.nowMs()) / 1000)
        return entry.value
      } catch (error) {
        fail(error)
        return undefined
      }
    },
    async set(key, value, ttlSeconds) {
      await memory.set(key, value, ttlSeconds)
      await tell(key, () => redis.set(key, value, ttlSeconds))
    },
    async delete(key) {
      await memory.delete(key)
      await tell(key, () => redis.delete(key))
    },
    async close() {
      closed = true
      await Promise.all([memory.close(), redis.close()])
    },
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown failure'
}
