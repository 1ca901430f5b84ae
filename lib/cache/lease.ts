// What one process at a time does, of all those that share a cache: who sets the key has the lease, for as long as it renews it.
import { randomUUID } from 'node:crypto'
import type { SharedCache } from './cache.ts'

export interface LeaseOptions {
  readonly store: SharedCache
  readonly key: string
  /** After that it is free again, whatever became of its holder. */
  readonly ttlSeconds: number
}

export interface Lease {
  readonly ttlSeconds: number
  /** Whether it is ours now. TempError cache/*. */
  take(): Promise<boolean>
  /** Whether it is ours still: false when it has run out. TempError cache/*. */
  renew(): Promise<boolean>
  /** Only what is ours. TempError cache/*. */
  release(): Promise<void>
}

export function createLease({ store, key, ttlSeconds }: LeaseOptions): Lease {
  const token = randomUUID()
  // Between the two steps it may run out and be another's: then two work for a while, which must do no harm.
  const isOurs = async (): Promise<boolean> => (await store.get(key)) === token
  return {
    ttlSeconds,
    take: () => store.setIfAbsent(key, token, ttlSeconds),
    async renew() {
      if (!(await isOurs())) return false
      await store.set(key, token, ttlSeconds)
      return true
    },
    async release() {
      if (await isOurs()) await store.delete(key)
    },
  }
}
