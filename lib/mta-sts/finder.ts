// Which policy holds for a domain: DNS says whether there is one and which, HTTPS brings it, and what was fetched is kept
// against the failure of both. RFC 8461 sections 3 and 5.1.
import type { SharedCache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import type { Resolver } from '../dns/resolver.ts'
import { TempError } from '../errors.ts'
import { backingOff, livePolicy, type Entry, type FetchedText } from './entry.ts'
import type { FetchPolicy } from './fetch.ts'
import { createKeeper, type Keeper } from './keeper.ts'
import type { PolicyFinder, StsFailure, StsOutcome } from './outcome.ts'
import { discover, type Discovered } from './discovery.ts'
import { createRenewal, type Renewed } from './renewal.ts'
import { createPolicyStore } from './store.ts'
import { unlessAborted, within } from './waiting.ts'

export interface PolicyFinderOptions {
  /** Asked each time: it caches by itself, by the TTL. */
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly fetchPolicy: FetchPolicy
  /** It must fail where it cannot say, and not forget. Closed by its owner, later than the finder. */
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: (level: 'info' | 'warn', message: string) => void
  /** When neither DNS nor what is cached can say whether there is a policy: TempError, or no policy. Default `defer`. */
  readonly onLookupFailure?: 'defer' | 'none'
  /** Of the policies that are at hand in this process; the others are in the store. Default 10,000. */
  readonly maxPolicies?: number
  /** Default 12 MiB. */
  readonly maxBytes?: number
  /** Fetches at one time. Default 16. */
  readonly maxFetches?: number
  /** How long a lookup waits for a place among them. Default 20 s. */
  readonly waitMs?: number
  /** How long a lookup that has a policy waits for a newer one. Default 10 s. */
  readonly patienceMs?: number
}

export interface KeepingPolicyFinder extends PolicyFinder, Keeper {
  /** Waits for what is being written. */
  close(): Promise<void>
}

const MAX_WAITING = 1000
/** A failure without its own id in DNS is told in reports until the next refresh but one. */
const TOLD_MS = 2 * 86_400_000
const NO_POLICY: StsOutcome = { status: 'none', failure: undefined }

export function createPolicyFinder(options: PolicyFinderOptions): KeepingPolicyFinder {
  const { resolver, clock, onLookupFailure = 'defer', patienceMs = 10_000 } = options
  const { maxPolicies = 10_000, maxBytes = 12 * 1024 * 1024 } = options
  const { maxFetches = 16, waitMs = 20_000 } = options
  const kept = createPolicyStore({ ...options, maxPolicies, maxBytes })
  const slots = { max: maxFetches, maxWaiting: MAX_WAITING, waitMs }
  const renew = createRenewal({ ...options, kept, slots })

  const apply = (domain: string, { id, policy }: FetchedText, failure?: StsFailure): StsOutcome => {
    kept.noteUse(domain)
    return { status: 'found', policy, id, failure }
  }
  /** Never in clear by accident: RFC 8461 asks for nothing here, since it knows no such case. */
  const giveUp = (error: TempError): StsOutcome => {
    if (onLookupFailure === 'defer') throw error
    return NO_POLICY
  }

  const findUnder = async (
    domain: string,
    id: string,
    known: Entry | TempError,
    signal: AbortSignal | undefined,
  ): Promise<StsOutcome> => {
    let entry = known
    for (const how of ['known', 'anew'] as const) {
      // Another process may have fetched it already.
      if (how === 'anew') entry = await answerOrFailure(kept.recall(domain, 'anew'))
      if (entry instanceof TempError) continue
      const live = livePolicy(entry, clock.nowMs())
      if (live?.id === id) return apply(domain, live, failureToTell(entry, id, clock.nowMs()))
      const failure = backingOff(entry, id, clock.nowMs())
      if (failure) return live ? apply(domain, live, failure) : { status: 'none', failure }
    }
    const live = entry instanceof TempError ? undefined : livePolicy(entry, clock.nowMs())
    const renewing = answerOrFailure(renew(domain, id))
    // The fetch goes on when nobody waits any more: the next one finds what it brought.
    const renewed = await unlessAborted(
      live ? within(patienceMs, renewing, undefined) : renewing,
      signal,
    )
    if (renewed === undefined || renewed instanceof TempError)
      return live ? apply(domain, live) : giveUp(renewed ?? new TempError('mta-sts/busy', domain))
    return afterFetch(domain, entry, renewed)
  }

  const afterFetch = (domain: string, entry: Entry | TempError, renewed: Renewed): StsOutcome => {
    if (renewed.status === 'fetched') return apply(domain, renewed.fetched)
    const { failure, live } = renewed
    if (live) return apply(domain, live, failure) // RFC 8461 section 5.1
    // Without the store nobody knows whether there is a policy in force.
    if (entry instanceof TempError) return giveUp(entry)
    return { status: 'none', failure } // RFC 8461 section 3.3: as without MTA-STS
  }

  const find: PolicyFinder['find'] = async (domainAsGiven, signal) => {
    const domain = domainAsGiven.toLowerCase().replace(/\.$/, '')
    const [entry, discovered] = await Promise.all([
      answerOrFailure(kept.recall(domain, 'at-hand')),
      discover(resolver, domain, signal),
    ])
    if (discovered.status === 'found') return findUnder(domain, discovered.id, entry, signal)
    if (!(entry instanceof TempError)) {
      // RFC 8461 section 3.1: what DNS does not say takes nothing away.
      const nowMs = clock.nowMs()
      const live = livePolicy(entry, nowMs)
      if (live) return apply(domain, live, failureToTell(entry, undefined, nowMs))
    }
    const unsure = unsureOf(discovered) ?? (entry instanceof TempError ? entry : undefined)
    return unsure ? giveUp(unsure) : NO_POLICY
  }

  return {
    find,
    ...createKeeper({ ...options, kept, renew }),
    close: () => kept.settle(),
  }
}

function unsureOf(discovered: Exclude<Discovered, { status: 'found' }>): TempError | undefined {
  return discovered.status === 'unknown' ? discovered.error : undefined
}

/** RFC 8461 section 6: of a policy that says nothing, only what its own record led to. */
function failureToTell(
  entry: Entry,
  id: string | undefined,
  nowMs: number,
): StsFailure | undefined {
  const failed = entry.failures.find((one) => one.id === id || Math.abs(nowMs - one.atMs) < TOLD_MS)
  return entry.fetched?.policy.mode === 'none' && failed?.id !== id ? undefined : failed?.failure
}

async function answerOrFailure<T>(work: Promise<T>): Promise<T | TempError> {
  try {
    return await work
  } catch (error) {
    if (error instanceof TempError) return error
    throw error
  }
}
