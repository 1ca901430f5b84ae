// A token bucket for each gateway: so many keys a minute, and as many at once.
import type { Clock } from '../../clock.ts'

export interface RateLimit {
  /** Whether there was a token. */
  take(name: string): boolean
  /** For what turned out to cost nothing. */
  giveBack(name: string): void
}

interface Bucket {
  readonly tokens: number
  readonly filledAtMs: number
}

const MINUTE_MS = 60_000

/** `names` come from a list: their number is bounded. */
export function createRateLimit(clock: Clock, perMinute: number): RateLimit {
  const buckets = new Map<string, Bucket>()
  const filled = (name: string): Bucket => {
    const now = clock.nowMs()
    const { tokens, filledAtMs } = buckets.get(name) ?? { tokens: perMinute, filledAtMs: now }
    const gainedMs = Math.max(0, now - filledAtMs) // a clock that was set back gains nothing
    return {
      tokens: Math.min(perMinute, tokens + (gainedMs * perMinute) / MINUTE_MS),
      filledAtMs: now,
    }
  }
  return {
    take(name) {
      const bucket = filled(name)
      const taken = bucket.tokens >= 1
      buckets.set(name, taken ? { ...bucket, tokens: bucket.tokens - 1 } : bucket)
      return taken
    },
    giveBack(name) {
      const bucket = filled(name)
      buckets.set(name, { ...bucket, tokens: Math.min(perMinute, bucket.tokens + 1) })
    },
  }
}
