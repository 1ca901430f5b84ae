// What is done with kept policies apart from lookups: they are listed, purged, and renewed long before they are over.
// RFC 8461 sections 3.3 and 10.2.
import type { Clock } from '../clock.ts'
import type { Resolver } from '../dns/resolver.ts'
import { TempError } from '../errors.ts'
import { discover } from './discovery.ts'
import { backingOff, expiryMs, livePolicy, type FetchedText } from './entry.ts'
import type { StsFailure } from './outcome.ts'
import type { Mode } from './policy.ts'
import type { Renew } from './renewal.ts'
import type { PolicyStore } from './store.ts'

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

export type Refreshed =
  | 'fetched'
  | 'failed'
  /** Fetched not long ago, or failed a moment ago. */
  | 'not-due'
  /** Not used for half a year, or of no use any more. */
  | 'dropped'
  /** Nothing is there, or it is over: the next lookup sees to it. */
  | 'gone'

export interface Keeper {
  /** Of all processes that share the store, in order. TempError cache/*. */
  list(): Promise<readonly KeptPolicy[]>
  /** Forgotten by all of them; the next lookup fetches anew. TempError cache/*. */
  purge(domain: string): Promise<void>
  /** Whether due by its age: `spread` in 0..1 takes away up to a fifth of it. TempError cache/*, mta-sts/busy. */
  refresh(domain: string, spread: number): Promise<Refreshed>
  /** Of more than so many, those that were not used for longest are dropped; how many. TempError cache/*. */
  trim(max: number): Promise<number>
  /** In the store, in force or not. TempError cache/*. */
  domains(): Promise<readonly string[]>
}

export interface KeeperOptions {
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly kept: PolicyStore
  readonly renew: Renew
  readonly clock: Clock
  readonly log: (level: 'info' | 'warn', message: string) => void
}

const DAY_MS = 86_400_000
const UNUSED_MS = 180 * DAY_MS
const AT_ONCE = 32

export function createKeeper({ resolver, kept, renew, clock, log }: KeeperOptions): Keeper {
  const describe = async (domain: string): Promise<KeptPolicy | undefined> => {
    try {
      const entry = await kept.peek(domain)
      const live = livePolicy(entry, clock.nowMs())
      if (!live) return undefined
      const { id, fetchedAtMs, policy } = live
      return {
        domain,
        mode: policy.mode,
        id,
        fetchedAtMs,
        expiresAtMs: expiryMs(live),
        lastUsedMs: await kept.lastUsedMs(domain),
        failure: entry.failures[0]?.failure,
      }
    } catch (error) {
      if (!(error instanceof TempError) || error.code !== 'cache/malformed') throw error
      log('warn', error.message)
      return undefined
    }
  }

  const isUnused = async (domain: string): Promise<boolean> => {
    const lastUsedMs = await kept.lastUsedMs(domain)
    if (lastUsedMs === undefined) kept.noteUse(domain) // lost, or never written: it counts from now
    return lastUsedMs !== undefined && clock.nowMs() - lastUsedMs > UNUSED_MS
  }

  return {
    async list() {
      const all = await inTurns((await kept.domains()).toSorted(), describe)
      return all.filter((policy) => policy !== undefined)
    },
    async trim(max) {
      const domains = await kept.domains()
      if (domains.length <= max) return 0
      const used = await inTurns(domains, async (domain) => ({
        domain,
        lastUsedMs: (await kept.lastUsedMs(domain)) ?? 0,
      }))
      const least = used.toSorted((one, other) => one.lastUsedMs - other.lastUsedMs)
      const dropped = least.slice(0, domains.length - max)
      await inTurns(dropped, ({ domain }) => kept.forget(domain))
      log('warn', `MTA-STS: more than ${max} policies: ${dropped.length} are dropped`)
      return dropped.length
    },
    purge: (domain) => kept.purge(domain.toLowerCase()),
    domains: () => kept.domains(),
    async refresh(domain, spread) {
      const entry = await kept.peek(domain)
      const live = livePolicy(entry, clock.nowMs())
      if (!live) return 'gone'
      if (await isUnused(domain)) {
        await kept.forget(domain)
        return 'dropped'
      }
      if (clock.nowMs() - live.fetchedAtMs < dueAfterMs(live) * (1 - spread / 5)) return 'not-due'
      const record = await discover(resolver, domain)
      if (record.status === 'none' && live.policy.mode === 'none') {
        await kept.forget(domain) // RFC 8461 section 8.3: the owner has taken MTA-STS back
        return 'dropped'
      }
      // Without DNS too: who hides the record must not make us forget the policy (RFC 8461 section 10.2).
      const id = record.status === 'found' ? record.id : live.id
      if (backingOff(entry, id, clock.nowMs())) return 'not-due'
      return (await renew(domain, id)).status
    },
  }
}

/** Daily, and in half of its time where that is short. */
function dueAfterMs({ policy }: FetchedText): number {
  return Math.min(DAY_MS, policy.maxAgeSeconds * 500)
}

async function inTurns<T, R>(all: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < all.length; at += AT_ONCE)
    results.push(...(await Promise.all(all.slice(at, at + AT_ONCE).map(work))))
  return results
}
