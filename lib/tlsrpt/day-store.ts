// Where the counts of a day are kept, of all processes that share it, and who has sent which report of them.
// test/tlsrpt/day-store.test.ts holds each back end to what is promised here.
import { createHash } from 'node:crypto'
import type { Count } from './count.ts'
import type { Day } from './day.ts'

export interface Batch {
  /** Of its own: the same one twice counts once. */
  readonly id: string
  readonly counts: readonly Count[]
}

/** Some of the names: as many `of` as there are parts, and of these the one at `part`. */
export interface Part {
  readonly part: number
  readonly of: number
  /** Domains of recipients, or TLSA base domains of hosts. */
  readonly kind: 'domains' | 'hosts'
}

export type ReportStatus =
  /** Somebody is sending it, or died of it: whether it went out is not known. */
  | 'claimed'
  | 'sent'
  /** Nobody took it; it may be claimed for another try. */
  | 'failed'
  /** It will not be sent any more. */
  | 'lost'

export interface ReportState {
  readonly status: ReportStatus
  /** From 1. */
  readonly attempt: number
  readonly owner: string
  readonly atMs: number
}

export interface Claim {
  readonly name: string
  readonly attempt: number
}

/** All of it throws TempErrors `cache/unreachable`, and nothing else. */
export interface DayStore {
  /** `closed`: the day is over for good, and nothing was kept. */
  add(day: Day, batch: Batch): Promise<'kept' | 'closed'>
  /** Of which there are counts, oldest first, those that are done too. */
  days(): Promise<readonly Day[]>
  /** Nothing is added to it from now on. */
  closeDay(day: Day): Promise<void>
  /** In how many parts it is best read. */
  parts(day: Day): Promise<number>
  /** What belongs together may come in pieces. */
  read(day: Day, part: Part): AsyncIterable<Count>
  /** Of several who claim the same one gets it, each time that it asks: those that are the owner's now. */
  claim(
    day: Day,
    owner: string,
    claims: readonly Claim[],
    nowMs: number,
  ): Promise<readonly string[]>
  settle(day: Day, name: string, state: ReportState): Promise<void>
  states(day: Day): Promise<ReadonlyMap<string, ReportState>>
  /** `walked`: each name was looked at once. `done`: there is nothing more to do. */
  progress(day: Day): Promise<Progress>
  setProgress(day: Day, progress: Progress): Promise<void>
  /** Forgets what is older. */
  prune(before: Day): Promise<void>
  close(): Promise<void>
}

export type Progress = 'open' | 'walked' | 'done'

/** Whether an attempt is one for this state: the first, or another after a failure. */
export function mayClaim(state: ReportState | undefined, attempt: number): boolean {
  if (state === undefined) return attempt === 1
  return state.status === 'failed' && attempt === state.attempt + 1
}

/** The same on each machine and in each version. */
export function partOf(name: string, of: number): number {
  return of === 1 ? 0 : createHash('sha256').update(name).digest().readUInt32BE(0) % of
}
