// When the reports of a day are made, and by whom: after midnight and a random time (RFC 8460 section 4.1), by one of all the
// processes that share the store. Whatever kept it from that, the next one goes on with it.
import type { SharedCache } from '../cache/cache.ts'
import type { Lease } from '../cache/lease.ts'
import type { Clock } from '../clock.ts'
import { DAY_MS, dayOf, endOf, type Day } from './day.ts'
import type { DayStore } from './day-store.ts'
import type { RunRound } from './round.ts'

export interface ReporterOptions {
  readonly days: Pick<DayStore, 'days' | 'progress' | 'prune'>
  /** undefined: none are made, and old counts are forgotten all the same. */
  readonly round: RunRound | undefined
  /** Of all processes that share the counts one makes reports. */
  readonly lease: Lease
  /** For the wish to have reports made at once. */
  readonly store: Pick<SharedCache, 'get' | 'delete'>
  readonly clock: Clock
  readonly log: (level: 'notice' | 'warn', message: string) => void
  readonly maxDelayMs: number
  readonly keepDays: number
  /** 0..1. */
  readonly random?: () => number
  /** Default one minute. */
  readonly everyMs?: number
}

export interface Reporter {
  /** All that is due; false: another process is at it. TempError cache/*. */
  run(): Promise<boolean>
  /** From now on, in the background. */
  start(): void
  close(): Promise<void>
}

/** Under this key: make reports without delay. */
export const NOW_KEY = 'tlsrpt/now'
/** The last counts of the day have come by then, from machines whose clocks differ a little too. */
const LEAST_DELAY_MS = 5 * 60_000
/** RFC 8460 section 5.5. */
const RETRY_FOR_MS = DAY_MS
/** What waits since before a restart is looked for soon. */
const FIRST_PART = 20

export function createReporter(options: ReporterOptions): Reporter {
  const { days, round, lease, store, clock, log, maxDelayMs, keepDays } = options
  const { random = Math.random, everyMs = 60_000 } = options
  const delays = new Map<Day, number>()
  const done = new Set<Day>()
  let timer: NodeJS.Timeout | undefined
  let underWay: Promise<unknown> = Promise.resolve()
  let isClosed = false
  let pruned: Day = ''

  const delayOf = (day: Day): number => {
    const delay = delays.get(day) ?? LEAST_DELAY_MS + random() * maxDelayMs
    delays.set(day, delay)
    return delay
  }
  const prune = async (today: Day): Promise<void> => {
    if (pruned === today) return
    await days.prune(dayOf(clock.nowMs() - keepDays * DAY_MS))
    pruned = today
  }
  const dueDays = async (): Promise<readonly Day[]> => {
    const today = dayOf(clock.nowMs())
    await prune(today)
    if (round === undefined) return []
    const over = (await days.days()).filter((day) => day < today && !done.has(day))
    const isNow = over.length > 0 && (await store.get(NOW_KEY)) !== undefined
    const due: Day[] = []
    for (const day of over) {
      if (!isNow && clock.nowMs() < endOf(day) + delayOf(day)) continue
      if ((await days.progress(day)) === 'done') done.add(day)
      else due.push(day)
    }
    return due
  }
  const runDays = async (due: readonly Day[], runRound: RunRound): Promise<void> => {
    let isOurs = true
    const renew = (): void => {
      lease.renew().then(
        (renewed) => (isOurs = renewed),
        () => (isOurs = false),
      )
    }
    const renewing = setInterval(renew, (lease.ttlSeconds * 1000) / 3)
    renewing.unref()
    try {
      for (const day of due) {
        if (!isOurs || isClosed) return
        const giveUpAtMs = endOf(day) + LEAST_DELAY_MS + maxDelayMs + RETRY_FOR_MS
        const { sent, failed, lost } = await runRound(day, giveUpAtMs, () => isOurs && !isClosed)
        if (sent + failed + lost > 0)
          log(
            'notice',
            `TLSRPT: reports of ${day}: ${sent} sent, ${failed} to be tried again, ${lost} lost`,
          )
      }
      await store.delete(NOW_KEY)
    } finally {
      clearInterval(renewing)
      await lease.release().catch(() => {}) // it runs out by itself
    }
  }
  const run = async (): Promise<boolean> => {
    const due = await dueDays()
    if (round === undefined || due.length === 0) return true
    if (!(await lease.take())) return false
    await runDays(due, round)
    return true
  }
  const schedule = (ms: number): void => {
    if (isClosed) return
    timer = setTimeout(
      () => {
        underWay = run()
          .catch((error: unknown) =>
            log(
              'warn',
              `TLSRPT: reports wait: ${error instanceof Error ? error.message : 'unknown failure'}`,
            ),
          )
          .finally(() => schedule(everyMs))
      },
      ms * (0.5 + random()),
    )
    timer.unref()
  }

  return {
    run() {
      const running = run()
      underWay = running.catch(() => {})
      return running
    },
    start: () => schedule(everyMs / FIRST_PART),
    async close() {
      isClosed = true
      clearTimeout(timer)
      await underWay
    },
  }
}
