// Which certificates for S/MIME are trusted, as the settings say: wired.
import type { Cache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import { resolveAddresses } from '../dns/addresses.ts'
import type { Resolver } from '../dns/resolver.ts'
import { createPlainClient } from '../http/plain-http.ts'
import { createRevocation } from '../smime/trust/revocation.ts'
import { createTrust, type Trust } from '../smime/trust/trust.ts'
import type { Log } from './services.ts'
import type { SmimeSettings } from './smime-settings.ts'

/** Lists of revoked certificates of large authorities have this size. */
const MAX_BYTES = 4 * 1024 * 1024
/** Questions about one certificate, if the first ones lead nowhere. */
const QUESTIONS = 2

export interface SmimeTrustOptions {
  readonly settings: SmimeSettings
  readonly resolver: Resolver
  readonly cache: Cache
  readonly clock: Clock
  readonly log: Log
}

/** PermError for an anchor that cannot be used. */
export function createSmimeTrust({
  settings,
  resolver,
  cache,
  clock,
  log,
}: SmimeTrustOptions): Trust {
  const { anchors, timeoutMs } = settings
  const ask = createPlainClient({
    addressesOf: (host, signal) => resolveAddresses(resolver, host, signal),
    timeoutMs,
    maxBytes: MAX_BYTES,
    reach: settings.allowPrivate ? 'any' : 'public',
  })
  const deadlineMs = QUESTIONS * timeoutMs
  return createTrust({
    anchors,
    revocationMode: settings.revocation,
    revocation: createRevocation({ clock, cache, ask, deadlineMs }),
    log,
  })
}
