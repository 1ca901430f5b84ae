// A clock that stands still until it is told.
import type { Clock } from '../../lib/clock.ts'

export interface FakeClock extends Clock {
  passMs(ms: number): void
}

export function fakeClock(startMs = Date.parse('2026-11-22T12:00:00Z')): FakeClock {
  let now = startMs
  return {
    nowMs: () => now,
    passMs(ms) {
      now += ms
    },
  }
}
