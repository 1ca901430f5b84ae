// Which policy holds for a domain: DNS says whether there is one and which, HTTPS brings it, and the store keeps it against
// both. RFC 8461 sections 3 and 5.1.
import type { SharedCache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import type { Resolver } from '../dns/resolver.ts'
import type { FetchPolicy } from './fetch.ts'
import type { PolicyFinder, StsFailure } from './outcome.ts'
import { parseRecords } from './record.ts'
import type { Mode } from './policy.ts'

export interface PolicyFinderOptions {
  /** Asked each time: it caches by itself, by the TTL. */
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly fetchPolicy: FetchPolicy
  /** It must fail where it cannot say, and not forget. Closed by its owner. */
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: (level: 'info' | 'warn', message: string) => void
  /** When neither DNS nor what is cached can say whether there is a policy: TempError, or no policy. Default `defer`. */
  readonly onLookupFailure?: 'defer' | 'none'
}

/** One policy of those that are kept, for people. */
export interface KeptPolicy {
  readonly domain: string
  readonly mode: Mode
  readonly id: string
  readonly fetchedAtMs: number
  readonly expiresAtMs: number
  readonly lastUsedMs: number | undefined
  /** Of the last fetch. */
  readonly failure: StsFailure | undefined
}

export interface KeepingPolicyFinder extends PolicyFinder {
  list(): Promise<readonly KeptPolicy[]>
  /** What is kept of the domain is forgotten, by every process that shares the store; the next lookup fetches anew. */
  purge(domain: string): Promise<void>
}

export function createPolicyFinder({
  resolver,
  fetchPolicy,
}: PolicyFinderOptions): KeepingPolicyFinder {
  return {
    async find(domain, signal) {
      const answer = await resolver.resolve(`_mta-sts.${domain}`, 'TXT', signal)
      const record = parseRecords(answer.status === 'found' ? answer.records : [])
      if (record.status === 'none') return { status: 'none', failure: undefined }
      const fetched = await fetchPolicy(domain)
      return fetched.status === 'failed'
        ? { status: 'none', failure: fetched.failure }
        : { status: 'found', policy: fetched.policy, id: record.id, failure: undefined }
    },
    async list() {
      return []
    },
    async purge() {},
  }
}
