// One fetch of a domain's policy and what becomes of it: RFC 8461 section 3.3. What is cached is replaced by a policy, and
// never by a failure.
import { createSingleFlight } from '../cache/single-flight.ts'
import type { Clock } from '../clock.ts'
import { TempError } from '../errors.ts'
import {
  BACK_OFF_MS,
  livePolicy,
  NOTHING,
  withFailure,
  type Entry,
  type FailedFetch,
  type FetchedText,
} from './entry.ts'
import type { FetchPolicy } from './fetch.ts'
import type { StsFailure } from './outcome.ts'
import { createSlots, type SlotsOptions } from './slots.ts'
import type { PolicyStore } from './store.ts'

export interface RenewalOptions {
  readonly fetchPolicy: FetchPolicy
  readonly kept: PolicyStore
  readonly clock: Clock
  readonly log: (level: 'info' | 'warn', message: string) => void
  readonly slots: SlotsOptions
}

export type Renewed =
  | { readonly status: 'fetched'; readonly fetched: FetchedText }
  | {
      readonly status: 'failed'
      readonly failure: StsFailure
      /** What is cached all the same. */
      readonly live: FetchedText | undefined
    }

/** Under the id that DNS says now. One at a time for each; TempError mta-sts/busy when too many are under way. */
export type Renew = (domain: string, id: string) => Promise<Renewed>

const MAX_UNTOLD = 1000

export function createRenewal({ fetchPolicy, kept, clock, log, slots }: RenewalOptions): Renew {
  const flights = createSingleFlight<Renewed>()
  const places = createSlots(slots)

  /** Of fetches that failed while the store could not be read: it is not told, since it may hold a policy. */
  const untold = new Map<string, FailedFetch>()

  const fail = async (domain: string, failed: FailedFetch): Promise<Renewed> => {
    const { failure, atMs } = failed
    let entry: Entry
    try {
      entry = await kept.recall(domain, 'anew')
    } catch (error) {
      if (!(error instanceof TempError)) throw error
      remember(untold, domain, failed)
      return { status: 'failed', failure, live: undefined }
    }
    untold.delete(domain)
    await kept.keep(domain, withFailure(entry, failed))
    const live = livePolicy(entry, atMs)
    tell(domain, failure, live)
    return { status: 'failed', failure, live }
  }
  const renew: Renew = async (domain, id) => {
    const failed = untold.get(domain)
    if (failed?.id === id && Math.abs(clock.nowMs() - failed.atMs) < BACK_OFF_MS)
      return fail(domain, failed)
    // max_age counts from before the fetch: never longer than its owner said.
    const fetchedAtMs = clock.nowMs()
    const outcome = await fetchPolicy(domain)
    if (outcome.status === 'failed')
      return fail(domain, { id, atMs: clock.nowMs(), failure: outcome.failure })
    const { policy, text } = outcome
    const fetched = { id, fetchedAtMs, text, policy }
    await kept.keep(domain, { ...NOTHING, fetched })
    return { status: 'fetched', fetched }
  }
  /** RFC 8461 section 3.3: somebody should know, unless what is cached says nothing anyway. */
  const tell = (domain: string, failure: StsFailure, live: FetchedText | undefined): void => {
    const meanwhile =
      live === undefined
        ? 'there is none in force'
        : `that of ${new Date(live.fetchedAtMs).toISOString()} stays in force`
    log(
      live?.policy.mode === 'none' ? 'info' : 'warn',
      `${domain}: its MTA-STS policy cannot be fetched (${failure.resultType}: ${failure.reason}); ${meanwhile}`,
    )
  }

  return (domain, id) =>
    flights.fetchOnce(`${domain} ${id}`, () => places.run(() => renew(domain, id)))
}

/** Bounded: who was failing first is tried again first. */
function remember(untold: Map<string, FailedFetch>, domain: string, failed: FailedFetch): void {
  untold.delete(domain)
  untold.set(domain, failed)
  const [oldest] = untold.keys()
  if (untold.size > MAX_UNTOLD && oldest !== undefined) untold.delete(oldest)
}
