// Public keys and certificates of others, as the settings say: the directory of them, wired.
import type { Cache, SharedCache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import { resolveAddresses } from '../dns/addresses.ts'
import type { Resolver } from '../dns/resolver.ts'
import { createBytesClient } from '../http/fetch-bytes.ts'
import { normalizeAddress } from '../ibe/identity.ts'
import { normalizeDomain } from '../ibe/mail-domain.ts'
import { createKeyDirectory, type KeyDirectory } from '../key-directory/directory.ts'
import { createOperatorKeys } from '../key-directory/operator.ts'
import type { KeyFormat } from '../mail/correspondent-keys.ts'
import type { Log } from './services.ts'
import type { SharedSettings } from './settings.ts'

const MAX_KEY_BYTES = 256 * 1024

export interface CorrespondentKeysOptions {
  readonly settings: SharedSettings
  readonly formats: readonly KeyFormat[]
  readonly resolver: Resolver
  readonly cache: Cache
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: Log
}

export function createCorrespondentKeys(options: CorrespondentKeysOptions): KeyDirectory {
  const { settings, resolver, clock, log } = options
  const { wkd, ttl, harvest, directory } = settings.correspondents
  const operator = createOperatorKeys({
    directory,
    clock,
    normalizeName: (name) => (name.includes('@') ? normalizeAddress : normalizeDomain)(name),
    log,
  })
  const fetchBytes =
    wkd &&
    createBytesClient({
      ...wkd,
      addressesOf: (host, signal) => resolveAddresses(resolver, host, signal),
      maxBytes: MAX_KEY_BYTES,
      reach: wkd.allowPrivate ? 'any' : 'public',
    })
  return createKeyDirectory({ ...options, operator, fetchBytes, ttl, mayHarvest: () => harvest })
}

/** The longest that asking all sources about one address may take, both methods of the web among them. */
export function keyLookupMs({ dns, correspondents }: SharedSettings): number {
  const { timeoutMs, tries, servers } = dns
  return timeoutMs * tries * servers.length + 2 * (correspondents.wkd?.timeoutMs ?? 0)
}
