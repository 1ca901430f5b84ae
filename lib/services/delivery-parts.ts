// MTA-STS and DANE as a plugin switches them on.
import type { SharedCache } from '../cache/cache.ts'
import { createLease } from '../cache/lease.ts'
import type { Clock } from '../clock.ts'
import { resolveAddresses } from '../dns/addresses.ts'
import { createDnssecProbe, type DnssecSupport } from '../dns/probe.ts'
import type { Resolver } from '../dns/resolver.ts'
import { HishoError } from '../errors.ts'
import { createTextClient } from '../http/fetch-text.ts'
import { createPolicyFetcher } from '../mta-sts/fetch.ts'
import { createPolicyFinder, type KeepingPolicyFinder } from '../mta-sts/finder.ts'
import type { PolicyFinder } from '../mta-sts/outcome.ts'
import { createRefresher } from '../mta-sts/refresh.ts'
import type { DaneSettings, MtaStsSettings } from './delivery-settings.ts'
import type { Log } from './services.ts'
import type { SharedSettings } from './settings.ts'

/** So long nobody refreshes after the one who does has died. */
const REFRESH_LEASE_SECONDS = 300

export interface MtaStsPart extends PolicyFinder {
  readonly kept: KeepingPolicyFinder
  start(): void
  close(): Promise<void>
}

export interface MtaStsPartOptions {
  readonly resolver: Resolver
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: Log
}

export function createMtaStsPart(
  { resolver, store, clock, log }: MtaStsPartOptions,
  settings: MtaStsSettings,
  isEnabled: () => boolean,
): MtaStsPart {
  const { port, timeoutMs, ca, allowPrivate, onLookupFailure, maxPolicies, refresh } = settings
  const fetchText = createTextClient({
    addressesOf: (host, signal) => resolveAddresses(resolver, host, signal),
    port,
    timeoutMs,
    ...(ca !== undefined && { ca }),
    reach: allowPrivate ? 'any' : 'public',
  })
  const kept = createPolicyFinder({
    resolver,
    fetchPolicy: createPolicyFetcher(fetchText),
    store,
    clock,
    log,
    onLookupFailure,
    maxPolicies,
  })
  const refresher = createRefresher({
    keeper: { ...kept, domains: async () => (isEnabled() ? kept.domains() : []) },
    lease: createLease({ store, key: 'mta-sts/refresh', ttlSeconds: REFRESH_LEASE_SECONDS }),
    log,
  })
  return {
    kept,
    find: async (domain, signal) =>
      isEnabled() ? kept.find(domain, signal) : { status: 'none', failure: undefined },
    start() {
      if (refresh) refresher.start()
    },
    async close() {
      await refresher.close()
      await kept.close()
    },
  }
}

export interface DanePart {
  /** TempError when no resolver answers: whether it validates is then not known. */
  isOn(signal?: AbortSignal): Promise<boolean>
  support(): Promise<DnssecSupport>
  /** Says at once what is wrong with the resolvers, not with the first mail. */
  start(): void
}

export interface DanePartOptions {
  readonly dns: SharedSettings['dns']
  readonly clock: Clock
  readonly log: Log
}

export function createDanePart(
  { dns, clock, log }: DanePartOptions,
  settings: DaneSettings,
  isEnabled: () => boolean,
): DanePart {
  const probe = createDnssecProbe({ ...dns, clock, name: settings.probe })
  let said: string | undefined
  const isOn = async (signal?: AbortSignal): Promise<boolean> => {
    if (!isEnabled()) return false
    const support = await probe.check(signal)
    if (support !== said) {
      said = support
      if (support === 'validates') log('notice', 'DANE is on: the resolver validates DNSSEC')
      else log('error', `DANE IS OFF: ${WHY_OFF[support]}`)
    }
    return support === 'validates'
  }
  return {
    isOn,
    support: () => probe.check(),
    start() {
      isOn().catch((error: unknown) => {
        const reason = error instanceof HishoError ? error.message : 'unknown cause'
        log('warn', `whether the resolver validates DNSSEC is not known yet: ${reason}`)
      })
    },
  }
}

const WHY_OFF = {
  'does-not-validate':
    'the resolver ([dns] servers of hisho.ini) does not validate DNSSEC: use one that does, such as unbound on this machine',
  untrusted:
    'the answers of a resolver that is not on this machine are not believed: use one on the loopback, or name it under [dns] trusted of hisho.ini',
} as const
