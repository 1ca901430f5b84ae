// Time as an argument, so that a test can pass a year in a line.

export interface Clock {
  /** Unix time in milliseconds. */
  nowMs(): number
}

export const systemClock: Clock = { nowMs: () => Date.now() }

/** Unix time in whole seconds. */
export function nowSeconds(clock: Clock): number {
  return Math.floor(clock.nowMs() / 1000)
}
