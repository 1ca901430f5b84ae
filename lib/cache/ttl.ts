// Times to live, and when they end.
import type { Clock } from '../clock.ts'

/** The TTL, but no less than the floor and no more than the ceiling. */
export function clampTtl(
  ttlSeconds: number,
  { floorSeconds, ceilingSeconds }: { floorSeconds: number; ceilingSeconds: number },
): number {
  return Math.min(Math.max(ttlSeconds, floorSeconds), ceilingSeconds)
}

/** Unix time in milliseconds at which something of this TTL is over. */
export function expiresAtMs(clock: Clock, ttlSeconds: number): number {
  if (!Number.isFinite(ttlSeconds)) throw new RangeError('a TTL must be a finite number')
  return clock.nowMs() + ttlSeconds * 1000
}
