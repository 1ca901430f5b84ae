// The period of an identity: a UTC day, ISO 8601 week or month, after which its key is worth nothing.

const KINDS = ['none', 'day', 'week', 'month'] as const
const DAY_MS = 86_400_000
const THURSDAY = 4

export type PeriodKind = (typeof KINDS)[number]

export function isPeriodKind(text: string): text is PeriodKind {
  return KINDS.some((kind) => kind === text)
}

/** `2026-11-22`, `2026-W47` or `2026-11`; nothing for `none`. */
export function periodAt(kind: PeriodKind, ms: number): string | undefined {
  const day = new Date(ms).toISOString().slice(0, 10)
  switch (kind) {
    case 'none':
      return undefined
    case 'day':
      return day
    case 'week':
      return isoWeek(ms)
    case 'month':
      return day.slice(0, 7)
  }
}

/** Begin (included) and end (not included) of the period of this time; undefined for `none`. */
export function periodBounds(
  kind: PeriodKind,
  ms: number,
): { readonly startMs: number; readonly endMs: number } | undefined {
  const day = Math.floor(ms / DAY_MS) * DAY_MS
  switch (kind) {
    case 'none':
      return undefined
    case 'day':
      return { startMs: day, endMs: day + DAY_MS }
    case 'week': {
      const startMs = day - (isoWeekday(ms) - 1) * DAY_MS
      return { startMs, endMs: startMs + 7 * DAY_MS }
    }
    case 'month': {
      const date = new Date(ms)
      const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
      return { startMs: Date.UTC(year, month), endMs: Date.UTC(year, month + 1) }
    }
  }
}

/** Whether a text is what `periodAt` can give. */
export function isPeriod(text: string): boolean {
  if (/^[0-9]{4}-(?:0[1-9]|1[0-2])$/.test(text)) return true
  if (/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text)) return isDay(text)
  const [, year, week] = /^([0-9]{4})-W([0-9]{2})$/.exec(text) ?? []
  return year !== undefined && Number(week) >= 1 && Number(week) <= weeksIn(Number(year))
}

/** The kind of a period that `isPeriod` takes; undefined stands for none, as in `periodAt`. */
export function periodKindOf(period: string | undefined): PeriodKind {
  if (period === undefined) return 'none'
  if (period.includes('W')) return 'week'
  return period.length > 7 ? 'day' : 'month'
}

/** When a period (that `isPeriod` takes) begins and when the next one does, as Unix time in milliseconds. */
export function periodSpan(period: string): { readonly beginMs: number; readonly endMs: number } {
  const year = Number(period.slice(0, 4))
  const kind = periodKindOf(period)
  if (kind === 'month') {
    const month = Number(period.slice(5)) - 1
    return { beginMs: monthStart(year, month), endMs: monthStart(year, month + 1) }
  }
  const days = kind === 'day' ? 1 : 7
  const beginMs =
    kind === 'day'
      ? Date.parse(`${period}T00:00:00Z`)
      : firstMonday(year) + (Number(period.slice(6)) - 1) * 7 * DAY_MS
  return { beginMs, endMs: beginMs + days * DAY_MS }
}

/** Of week 1, in which 4 January is: ISO 8601. */
function firstMonday(year: number): number {
  const fourth = yearStart(year) + 3 * DAY_MS
  return fourth - (isoWeekday(fourth) - 1) * DAY_MS
}

function isDay(text: string): boolean {
  const ms = Date.parse(`${text}T00:00:00Z`)
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text)
}

/** A week belongs to the year of its Thursday: ISO 8601. */
function isoWeek(ms: number): string {
  const thursday = new Date(ms + (THURSDAY - isoWeekday(ms)) * DAY_MS)
  const year = thursday.getUTCFullYear()
  const week = Math.floor((thursday.getTime() - yearStart(year)) / DAY_MS / 7) + 1
  return `${String(year).padStart(4, '0')}-W${String(week).padStart(2, '0')}`
}

/** 53 if the year begins on a Thursday or ends on one. */
function weeksIn(year: number): number {
  const ends = [yearStart(year), yearStart(year + 1) - DAY_MS]
  return ends.some((ms) => isoWeekday(ms) === THURSDAY) ? 53 : 52
}

function isoWeekday(ms: number): number {
  return new Date(ms).getUTCDay() || 7
}

function yearStart(year: number): number {
  return monthStart(year, 0)
}

/** Not Date.UTC, for which the year 99 is 1999. */
function monthStart(year: number, month: number): number {
  return new Date(0).setUTCFullYear(year, month, 1)
}
