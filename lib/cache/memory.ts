// The cache in this process: bounded, and the entry that was not used for longest goes first.
import type { Clock } from '../clock.ts'
import type { CacheEntry, SharedCache } from './cache.ts'
import { expiresAtMs } from './ttl.ts'

export interface MemoryCacheOptions {
  readonly clock: Clock
  readonly maxEntries: number
  /** Of all values together. Default: any number. */
  readonly maxCharacters?: number
}

export function createMemoryCache({
  clock,
  maxEntries,
  maxCharacters = Infinity,
}: MemoryCacheOptions): SharedCache {
  const entries = new Map<string, CacheEntry>() // a Map keeps the order of insertion: the oldest is first
  let characters = 0

  const remove = (key: string): void => {
    characters -= entries.get(key)?.value.length ?? 0
    entries.delete(key)
  }
  const read = (key: string): CacheEntry | undefined => {
    const entry = entries.get(key)
    if (entry === undefined) return undefined
    // Compared on reading, not deleted by a timer: setTimeout takes 24.8 days at most and fires at once beyond that,
    // and an MTA-STS max_age may be a year (RFC 8461 section 3.2).
    if (entry.expiresAtMs <= clock.nowMs()) {
      remove(key)
      return undefined
    }
    entries.delete(key)
    entries.set(key, entry)
    return entry
  }
  const write = (key: string, value: string, ttlSeconds: number): void => {
    const entry = { value, expiresAtMs: expiresAtMs(clock, ttlSeconds) }
    remove(key)
    if (ttlSeconds <= 0) return
    entries.set(key, entry)
    characters += value.length
    for (const oldest of entries.keys()) {
      if (entries.size <= maxEntries && characters <= maxCharacters) return
      remove(oldest)
    }
  }

  return {
    async get(key) {
      return read(key)?.value
    },
    async getEntry(key) {
      return read(key)
    },
    async set(key, value, ttlSeconds) {
      write(key, value, ttlSeconds)
    },
    async setIfAbsent(key, value, ttlSeconds) {
      if (read(key) !== undefined) return false
      write(key, value, ttlSeconds)
      return ttlSeconds > 0
    },
    async keys(prefix) {
      const nowMs = clock.nowMs()
      const live = [...entries].filter(([, entry]) => entry.expiresAtMs > nowMs)
      return live.map(([key]) => key).filter((key) => key.startsWith(prefix))
    },
    async delete(key) {
      remove(key)
    },
    async close() {
      entries.clear()
      characters = 0
    },
  }
}
