// The reports of one day, once each: who wants one is looked up, a report is claimed, sent, and marked as sent. What was claimed
// by somebody who is gone is not sent again, since nobody can say whether it went out: that is said in the log. RFC 8460
// sections 4.1 and 5.5.
import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Day } from './day.ts'
import type { DayStore, ReportState, ReportStatus } from './day-store.ts'
import { createDrafter, type Draft, type DrafterOptions, type DraftReport } from './draft.ts'
import { inParallel } from './in-parallel.ts'
import { formatDestination } from './record.ts'
import type { SendLetter } from './send.ts'
import { walkDay, type NamedCounts } from './walk.ts'

export interface RoundOptions extends DrafterOptions {
  readonly store: DayStore
  readonly clock: Clock
  readonly log: (level: 'info' | 'notice' | 'warn' | 'error', message: string) => void
  readonly send: SendLetter
  /** Names that are worked on at one time. Default 32. */
  readonly atOnce?: number
  /** For the last counts of a day that was just closed. Default 1000. */
  readonly settleMs?: number
}

export interface RoundResult {
  sent: number
  /** Will be tried again. */
  failed: number
  /** Will not be. */
  lost: number
  unwanted: number
}

/**
 * After `giveUpAtMs` nothing is tried again. `isOurs` is asked before each report: false once another may be at it.
 * TempError cache/unreachable.
 */
export type RunRound = (day: Day, giveUpAtMs: number, isOurs: () => boolean) => Promise<RoundResult>

/** Whoever has claimed a report for so long has died of it. */
const ORPHAN_MS = 15 * 60_000
const FIRST_RETRY_MS = 15 * 60_000
const MAX_RETRY_MS = 4 * 3_600_000

/** RFC 8460 section 5.5: exponentially. */
function isDue({ attempt, atMs }: ReportState, nowMs: number): boolean {
  return nowMs >= atMs + Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempt - 1))
}

interface Round {
  readonly day: Day
  readonly owner: string
  readonly isLast: boolean
  readonly isOurs: () => boolean
  readonly states: Map<string, ReportState>
  readonly result: RoundResult
  readonly draft: DraftReport
  settle(name: string, state: ReportState): Promise<void>
}

export function createRound(options: RoundOptions): RunRound {
  const { store, clock, log, atOnce = 32, settleMs = 1000 } = options
  const owner = randomUUID()
  // What became of a report is known here still when the store was away as it was to be marked.
  const unmarked = new Map<string, { day: Day; name: string; state: ReportState }>()
  const settle = async (day: Day, name: string, state: ReportState): Promise<void> => {
    const key = `${day} ${name}`
    unmarked.set(key, { day, name, state })
    await store.settle(day, name, state)
    unmarked.delete(key)
  }

  return async (day, giveUpAtMs, isOurs) => {
    for (const { day: of, name, state } of Array.from(unmarked.values()))
      await settle(of, name, state)
    const progress = await store.progress(day)
    await store.closeDay(day)
    if (progress === 'open') await pause(settleMs)
    const round: Round = {
      day,
      owner,
      isLast: clock.nowMs() >= giveUpAtMs,
      isOurs,
      states: new Map(await store.states(day)),
      result: { sent: 0, failed: 0, lost: 0, unwanted: 0 },
      draft: createDrafter(options),
      settle: (name, state) => settle(day, name, state),
    }
    await bury(round, options)
    const wants = (name: string): boolean => {
      const state = round.states.get(name)
      if (state === undefined) return progress === 'open'
      // Claimed here, and the store was away before we knew: it was not sent.
      if (state.status === 'claimed') return state.owner === owner
      return state.status === 'failed' && (round.isLast || isDue(state, clock.nowMs()))
    }
    const isQuiet = progress !== 'open' && ![...round.states.keys()].some(wants)
    const lost = (name: string): void =>
      log('error', `TLSRPT: ${day} has too many names: what was counted of ${name} is lost`)
    const isWhole =
      isQuiet ||
      (await inParallel(walkDay(store, day, wants, lost), atOnce, isOurs, (named) =>
        report(round, named, options),
      ))
    if (isWhole) {
      const isPending = [...round.states.values()].some(
        ({ status }) => status === 'failed' || status === 'claimed',
      )
      await store.setProgress(day, isPending ? 'walked' : 'done')
    }
    return round.result
  }
}

/** Those who died with a report in hand. */
async function bury(round: Round, { clock, log }: RoundOptions): Promise<void> {
  for (const [name, state] of round.states) {
    const isOrphan = state.status === 'claimed' && state.owner !== round.owner
    if (!isOrphan || clock.nowMs() < state.atMs + ORPHAN_MS) continue
    log(
      'error',
      `TLSRPT: whether the report on ${name} of ${round.day} was sent is not known: it is not sent again`,
    )
    await mark(round, name, { ...state, status: 'lost' })
  }
}

async function mark(round: Round, name: string, state: ReportState): Promise<void> {
  round.states.set(name, state)
  if (state.status === 'sent' || state.status === 'failed' || state.status === 'lost')
    round.result[state.status] += 1
  await round.settle(name, state)
}

async function report(round: Round, named: NamedCounts, options: RoundOptions): Promise<void> {
  const { store, clock, log, send, rules } = options
  const { day, owner, isLast, states, result } = round
  const { name } = named
  const draft = await round.draft(day, named)
  if (draft.status === 'unwanted') {
    result.unwanted += 1
    // It has failed before, and is wanted no longer.
    const state = states.get(name)
    if (state) await mark(round, name, { ...state, status: 'lost' })
    return
  }
  if (rules.mode === 'dry_run') return rehearse(round, name, draft, options)
  const before = states.get(name)
  const attempt = before?.status === 'claimed' ? before.attempt : (before?.attempt ?? 0) + 1
  if (!round.isOurs()) return
  const won = await store.claim(day, owner, [{ name, attempt }], clock.nowMs())
  if (won.length === 0) return
  const end = (status: ReportStatus): Promise<void> =>
    mark(round, name, { status, attempt, owner, atMs: clock.nowMs() })
  const fail = (reason: string): Promise<void> => {
    const outlook = isLast ? 'and will not be' : 'it is tried again'
    log(
      isLast ? 'error' : 'warn',
      `TLSRPT: the report on ${name} of ${day} is not sent, ${outlook}: ${reason}`,
    )
    return end(isLast ? 'lost' : 'failed')
  }
  if (draft.status === 'unknown') return fail(draft.reason)
  const { letter, to } = draft
  if (letter.compressed.length > rules.maxBytes) {
    log(
      'error',
      `TLSRPT: the report on ${name} of ${day} has ${letter.compressed.length} bytes: too many, it is not sent`,
    )
    return end('lost')
  }
  const { accepted, refused } = await send(letter, to)
  // RFC 8460 section 3: it is done once one of them has it.
  if (accepted.length === 0) return fail(refused.join('; '))
  for (const refusal of refused) log('warn', `TLSRPT: ${letter.reportId}: ${refusal}`)
  log('info', `TLSRPT: ${letter.reportId} sent to ${accepted.join(', ')}`)
  await end('sent')
}

function rehearse({ day, result }: Round, name: string, draft: Draft, { log }: RoundOptions): void {
  if (draft.status !== 'ready') return
  result.sent += 1
  const { letter, to } = draft
  log(
    'notice',
    `TLSRPT: dry run: the report on ${name} of ${day}, ${letter.compressed.length} bytes, would go to ${to.map(formatDestination).join(', ')}`,
  )
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms))
}
