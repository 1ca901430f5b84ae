// What every cache promises, whatever it keeps its entries in. test/cache/contract.ts holds each back end to it.

export interface Cache {
  /** The value, for as long as it is not expired; exactly as it was set. */
  get(key: string): Promise<string | undefined>
  /** A TTL of zero or less keeps nothing, and forgets what was there. A year is kept for a year. */
  set(key: string, value: string, ttlSeconds: number): Promise<void>
  delete(key: string): Promise<void>
  close(): Promise<void>
}

export interface CacheEntry {
  readonly value: string
  readonly expiresAtMs: number
}

/** A cache that also tells how long its entries last, so that they can be copied. */
export interface ExpiringCache extends Cache {
  getEntry(key: string): Promise<CacheEntry | undefined>
}

/** A cache that several processes share, and can look through and agree by. */
export interface SharedCache extends ExpiringCache {
  /** Of what is not expired, in no order. It may miss what is set or forgotten in the meantime. */
  keys(prefix: string): Promise<readonly string[]>
  /** Whether it was set: of several who try at once one does. What is expired is absent. */
  setIfAbsent(key: string, value: string, ttlSeconds: number): Promise<boolean>
}

/** Where a cache says what the operator should know. */
export interface CacheLog {
  info(message: string): void
  warn(message: string): void
}

/**
 * What an entry that cannot be read is: as good as none, for a cache; a TempError `cache/malformed`, where "never seen"
 * would be taken for an answer.
 */
export type OnDamage = 'forget' | 'fail'
