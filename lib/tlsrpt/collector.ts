// Counts what happened to TLS in this process, and hands it on in batches: in memory it is for a second. Nothing here throws
// into a delivery or makes it wait. RFC 8460 section 4.3.
import { randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import type { Count } from './count.ts'
import { DAY_MS, dayAfter, dayOf, type Day } from './day.ts'
import type { Batch, DayStore } from './day-store.ts'
import { safeText } from './received/plain-text.ts'
import type { FailureDetail, ReportedPolicy } from './report.ts'
import type { Session, SessionResult } from './session.ts'
import { createTally, type Tally, type TallyLimits } from './tally.ts'

export interface CollectorOptions {
  readonly store: Pick<DayStore, 'add'>
  /** As the process ends, when nothing can be waited for. */
  readonly leave: LeaveBatch
  readonly log: (level: 'notice' | 'warn' | 'error', message: string) => void
  /** So long counts are in memory alone. Default 250. */
  readonly flushMs?: number
  readonly limits?: TallyLimits
}

/** It throws where it cannot. */
export type LeaveBatch = (day: Day, batch: Batch) => 'kept' | 'closed'

export interface Collector {
  count(session: Session): void
  /** What another process has left; `kept` is called once the store has it. */
  adopt(day: Day, batch: Batch, kept: () => void): void
  /** All that was counted until now, if the store takes it. */
  flush(): Promise<void>
  /** As the process ends: what the store does not have yet is left for it, before this returns. */
  leave(): void
  close(): Promise<void>
}

interface Waiting {
  readonly day: Day
  readonly batch: Batch
  readonly kept?: () => void
}

const LIMITS: TallyLimits = { maxNames: 20_000, maxPolicies: 32, maxFailures: 100 }
/** More than this is written at once, whatever the time. */
const FULL = 2000
const BATCH_COUNTS = 500
const RETRY_MS = 5000
/** What a server says of itself, and what is said of it, in no more than that. */
const MAX_TEXT = 200
/** A day that is over passes its counts on to the next, which is seldom over too. */
const MAX_DAYS = 10

export function createCollector(options: CollectorOptions): Collector {
  const { store, leave, log, flushMs = 250, limits = LIMITS } = options
  const open = new Map<Day, Tally>()
  const waiting: Waiting[] = []
  // A clock that is set back leads to no day that was left.
  let today: Day = ''
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined
  let isFailing = false
  let isClosed = false
  let lost = 0

  let known = { number: -1, day: '' }
  const dayOfMs = (ms: number): Day => {
    const number = Math.floor(ms / DAY_MS)
    if (number !== known.number) known = { number, day: dayOf(ms) }
    return known.day
  }
  const tallyOf = (day: Day): Tally => {
    const held = open.get(day)
    if (held) return held
    const made = createTally(limits)
    open.set(day, made)
    return made
  }
  const lose = (sessions: number): void => {
    if (lost === 0) log('error', 'TLSRPT: no room for more counts: sessions are not counted')
    lost += sessions
  }
  const countResult = (tally: Tally, session: Session, result: SessionResult): void => {
    const policy = policyOf(result)
    const names: [string, string | undefined][] = [[session.domain, undefined]]
    // RFC 8460 section 3: what goes by TLSA records is the business of the host's domain too.
    if (result.policyType === 'tlsa' && result.policyDomain !== session.domain)
      names.push([result.policyDomain, session.domain])
    const detail = result.resultType === 'success' ? undefined : detailOf(session, result)
    for (const [name, via] of names) {
      const isCounted = detail
        ? tally.failure(name, via, policy, detail)
        : tally.success(name, via, policy, 1)
      if (!isCounted) lose(1)
    }
  }
  const arm = (ms: number): void => {
    if (timer !== undefined || isClosed) return
    timer = setTimeout(() => {
      timer = undefined
      void write()
    }, ms)
    timer.unref()
  }
  const pack = (): void => {
    for (const [day, tally] of open) {
      const counts = tally.drain()
      open.delete(day)
      for (let at = 0; at < counts.length; at += BATCH_COUNTS)
        waiting.push({
          day,
          batch: { id: randomUUID(), counts: counts.slice(at, at + BATCH_COUNTS) },
        })
    }
  }
  /** A day that is over passes its counts on. */
  const dayThatFollows = (day: Day): Day => {
    const next = dayAfter(day)
    if (next > today) today = next
    return next
  }
  const put = async ({ day, batch }: Waiting): Promise<void> => {
    let to = day
    for (let tried = 0; tried < MAX_DAYS; tried += 1) {
      if ((await store.add(to, batch)) === 'kept') return
      to = dayThatFollows(to)
    }
    lose(sessionsOf(batch.counts))
  }
  const putAtOnce = ({ day, batch }: Waiting): void => {
    let to = day
    for (let tried = 0; tried < MAX_DAYS; tried += 1) {
      if (leave(to, batch) === 'kept') return
      to = dayThatFollows(to)
    }
    lose(sessionsOf(batch.counts))
  }
  const leaveAll = (): void => {
    pack()
    try {
      // One that is being written is left as well: the same batch twice counts once.
      for (let first = waiting[0]; first; first = waiting[0]) {
        putAtOnce(first)
        waiting.shift()
      }
    } catch (error) {
      log('error', `TLSRPT: counts cannot be left behind: ${messageOf(error)}`)
    }
  }
  const writeAll = async (): Promise<void> => {
    try {
      while (waiting.length > 0 || open.size > 0) {
        if (waiting.length === 0) pack()
        const [first] = waiting
        if (first) await put(first)
        first?.kept?.()
        if (waiting[0] === first) waiting.shift()
      }
      if (isFailing || lost > 0) recovered()
      isFailing = false
    } catch (error) {
      // The same batch is tried again; what comes meanwhile is counted in memory, as far as there is room.
      if (!isFailing)
        log('error', `TLSRPT: counts cannot be kept, and wait in memory: ${messageOf(error)}`)
      isFailing = true
      arm(RETRY_MS)
    }
  }
  const recovered = (): void => {
    if (isFailing) log('notice', 'TLSRPT: counts are kept again')
    if (lost > 0) log('error', `TLSRPT: ${lost} sessions were not counted`)
    lost = 0
  }
  const write = (): Promise<void> =>
    (writing ??= writeAll().finally(() => {
      writing = undefined
    }))

  return {
    count(session) {
      try {
        if (isClosed || isAddress(session.domain)) return
        const day = dayOfMs(session.atMs)
        // One that was far ahead by mistake is believed no longer.
        if (day !== today && (day > today || today > dayAfter(day))) today = day
        const tally = tallyOf(today)
        for (const result of session.results) countResult(tally, session, result)
        if (tally.size >= FULL && !isFailing) void write()
        else arm(flushMs)
      } catch (error) {
        log('error', `TLSRPT: a session was not counted: ${messageOf(error)}`)
      }
    },
    adopt(day, batch, kept) {
      waiting.push({ day, batch, kept })
      arm(flushMs)
    },
    async flush() {
      await writing
      await write()
    },
    leave: leaveAll,
    async close() {
      isClosed = true
      clearTimeout(timer)
      await writing
      await write()
      leaveAll()
      const sessions = waiting.reduce((sum, { batch }) => sum + sessionsOf(batch.counts), lost)
      if (sessions > 0) log('error', `TLSRPT: ${sessions} sessions were not counted`)
    },
  }
}

function policyOf(result: SessionResult): ReportedPolicy {
  return {
    policyType: result.policyType,
    policyDomain: result.policyDomain,
    policyStrings: result.policyStrings,
    mxHosts: result.mxHostPatterns,
  }
}

function detailOf(session: Session, { resultType, reason }: SessionResult): FailureDetail {
  const { sendingIp, host, helo, receivingIp } = session
  return {
    resultType,
    failedSessions: 1,
    ...(sendingIp !== undefined && { sendingMtaIp: sendingIp }),
    ...(host !== undefined && { receivingMxHostname: host }),
    ...(helo !== undefined && { receivingMxHelo: safeText(helo.slice(0, MAX_TEXT)) }),
    ...(receivingIp !== undefined && { receivingIp }),
    ...(reason !== undefined && { failureReasonCode: safeText(reason.slice(0, MAX_TEXT)) }),
  }
}

/** Nobody reads reports of an address. */
function isAddress(domain: string): boolean {
  return isIP(domain) !== 0 || domain.startsWith('[')
}

function sessionsOf(counts: readonly Count[]): number {
  return counts.reduce(
    (sum, { via, successfulSessions, failedSessions }) =>
      via === undefined ? sum + successfulSessions + failedSessions : sum,
    0,
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown failure'
}
