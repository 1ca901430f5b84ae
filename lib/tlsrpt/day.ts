// A day of UTC, which is what a report covers: RFC 8460 section 4.1.

/** Such as `2026-11-21`. Days compare as their texts do. */
export type Day = string

export const DAY_MS = 86_400_000

export function dayOf(ms: number): Day {
  return new Date(ms).toISOString().slice(0, 10)
}

/** Its first millisecond. */
export function beginOf(day: Day): number {
  return Date.parse(`${day}T00:00:00Z`)
}

/** The first millisecond after it. */
export function endOf(day: Day): number {
  return beginOf(day) + DAY_MS
}

export function dayAfter(day: Day): Day {
  return dayOf(endOf(day))
}

export function isDay(text: string): text is Day {
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))
}
