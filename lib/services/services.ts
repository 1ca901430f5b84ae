// Everything that the plugins of one process, or one command, share: wired here, once, and nowhere else.
import type { Cache, SharedCache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import { createResolver, type Resolver } from '../dns/resolver.ts'
import { PermError } from '../errors.ts'
import { createBb2, createBb2Pool, type Bb2 } from '../ibe/bb2/bb2.ts'
import { IDENTITY_DST } from '../ibe/boneh-franklin.ts'
import { createDirectory, type Directory } from '../ibe/directory/directory.ts'
import { createIbe, createIbePool, type Ibe } from '../ibe/ibe.ts'
import { normalizeAddress } from '../ibe/identity.ts'
import { createMasterKeySource, type KeySource } from '../ibe/key-source.ts'
import { SIGNER_DST } from '../ibe/signature/cha-cheon.ts'
import { createSignatureEngine } from '../ibe/signature/engine.ts'
import { createOwnGenerations } from '../ibe/signature/own-generations.ts'
import { createIbeSignatures } from '../ibe/signature/signatures.ts'
import type { KeyDirectory } from '../key-directory/directory.ts'
import type { Scheme } from '../mail/scheme.ts'
import { createMeter, type Meter } from '../metrics/meter.ts'
import { createOpenPgpKeyFormat } from '../openpgp/key-format.ts'
import { createOpenPgpPool, type OpenPgpPool } from '../openpgp/openpgp.ts'
import type { Signatures } from '../mail/signature.ts'
import { createSmimeKeyFormat } from '../smime/key-format.ts'
import { createSmimePool } from '../smime/pool.ts'
import { createFailureRate, type FailureRate } from '../protection/failure-rate.ts'
import type { ReplayMemory } from '../protection/replay.ts'
import { createHeldStore, type HeldStore } from '../protection/held/store.ts'
import { openTableFile, type TableFile } from '../protection/table-file.ts'
import type { Threads } from '../protection/threads.ts'
import { activeEntries } from '../vault/contents.ts'
import { createKeyRing, type KeyRing } from '../vault/key-ring.ts'
import { createCorrespondentKeys, keyLookupMs } from './correspondent-keys.ts'
import { createDelivery, type Delivery } from './delivery.ts'
import { meterParts } from './gauges.ts'
import { createHostedPolicies, type HostedPolicies } from './hosted-policies.ts'
import { createKeyExpiry, type KeyExpiry } from './key-expiry.ts'
import { createRemoteKeys } from './kgc-keys.ts'
import { createOwnRevocationLists, type OwnRevocationLists } from './own-authorities.ts'
import { createOwnPublicKeys, type OwnPublicKeys } from './own-public-keys.ts'
import { meteredCache, meteredStore } from './metered.ts'
import {
  createParameterSources,
  createReplays,
  createStore,
  createThreadMemory,
} from './parameter-sources.ts'
import { createReceivedReports, type ReceivedReports } from './received-reports.ts'
import { remembered } from './remembered.ts'
import { createSchemes, SCHEME_KINDS } from './schemes.ts'
import type { HeldSettings, SharedSettings } from './settings.ts'
import { createCache } from './shared-memory.ts'
import { createSmimeTrust } from './smime-trust.ts'
import { createTlsrpt, type Tlsrpt } from './tlsrpt.ts'

export type Log = (level: 'info' | 'notice' | 'warn' | 'error', message: string) => void

export interface Services {
  readonly table: TableFile
  readonly keyRing: KeyRing
  readonly resolver: Resolver
  readonly directory: Directory
  readonly cache: Cache
  /** What must not be forgotten. */
  readonly store: SharedCache
  readonly ibe: Ibe
  readonly bb2: Bb2
  /** Of our own domains: from the vault, or from a KGC. */
  readonly keys: KeySource
  /** Public keys and certificates of others. */
  readonly correspondentKeys: KeyDirectory
  /** When our own keys expire. */
  readonly keyExpiry: KeyExpiry
  /** What others may have of our own. */
  readonly ownPublicKeys: OwnPublicKeys
  readonly ownRevocationLists: OwnRevocationLists
  /** For keys of our own, too. */
  readonly openPgpPool: OpenPgpPool
  readonly schemes: readonly Scheme[]
  readonly signatures: Signatures
  /** What was opened before. */
  readonly replays: ReplayMemory
  readonly openingFailures: FailureRate
  readonly delivery: Delivery
  /** What happened to TLS, and the reports of it. */
  readonly tlsrpt: Tlsrpt
  /** Which messages came encrypted. */
  readonly threads: Threads
  /** Mail that waits for a key. */
  readonly held: HeldStore
  readonly heldSettings: HeldSettings
  readonly meter: Meter
  /** MTA-STS for our own domains. */
  readonly hostedPolicies: HostedPolicies
  /** What others report of TLS to our domains. */
  readonly receivedReports: ReceivedReports
  readonly normalizeAddress: (address: string) => string
  /** The longest that a look-up of a domain's parameters, or of somebody's key, may take. */
  readonly lookupMs: number
  /** Opens the vault, starts the threads and connects to Redis, so that the first mail does not wait. */
  warm(): void
  close(): Promise<void>
}

export interface ServicesOptions {
  readonly settings: SharedSettings
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly log: Log
}

/** PermError if the domain table cannot be used. Nothing is connected or started before it is needed, or `warm`. */
export function createServices({ settings, environment, clock, log }: ServicesOptions): Services {
  const table = openTableFile({ file: settings.tableFile, kinds: SCHEME_KINDS, clock, log })
  const meter = createMeter()
  const cache = meteredCache(createCache(settings, clock, log), meter)
  const resolver = createResolver(settings.dns)
  const pool = createIbePool({
    size: settings.workers,
    queueLimit: settings.workerQueue,
    log: (line) => log('error', line),
  })
  const ibe = createIbe({ pool, clock })
  ibe.startSweeping()
  const bb2Pool = createBb2Pool({
    size: 1,
    queueLimit: settings.workerQueue,
    log: (line) => log('error', line),
  })
  const bb2 = createBb2({ pool: bb2Pool })
  const sources = createParameterSources(settings, resolver)
  const store = meteredStore(createStore(settings, clock), meter)
  const directory = createDirectory({
    ...sources,
    cache,
    store,
    clock,
    ttl: settings.ttl,
    check: async (parameters) => {
      if (parameters.version === '1.0') return bb2.check(parameters)
      if (await ibe.checkPublicKey(parameters.publicKey)) return
      throw new PermError('ibe/parameters', 'P is no point that can be used')
    },
    verifyRecord: (request) => ibe.verifyRecord(request),
    log,
  })
  const keyRing = createKeyRing({
    file: settings.vaultFile,
    sources: { environment, file: settings.passphraseFile },
    clock,
    log,
  })
  const masterKeys = createMasterKeySource({
    masterKeys: async (domain, scheme) => activeEntries(await keyRing.contents(), domain, scheme),
    latestMasterKeys: async (domain, scheme) =>
      activeEntries(await keyRing.latest(), domain, scheme),
    extract: {
      bf: (masterKey, identity) => ibe.extract(masterKey, identity, IDENTITY_DST),
      cc: (masterKey, identity) => ibe.extract(masterKey, identity, SIGNER_DST),
      bb2: (masterKey, localPart) => bb2.extract(masterKey, localPart),
    },
    clock,
  })
  const remote =
    settings.kgc &&
    createRemoteKeys(settings.kgc, {
      ibe,
      bb2,
      directory,
      isOurs: (domain) => table.current().isLocal(domain),
      clock,
      log,
    })
  const keys: KeySource = remote ?? masterKeys
  const openPgpPool = createOpenPgpPool({
    size: Math.max(1, Math.ceil(settings.workers / 2)),
    queueLimit: settings.workerQueue,
    log: (line) => log('error', line),
  })
  const smimePool = createSmimePool({
    size: Math.max(1, Math.ceil(settings.workers / 2)),
    queueLimit: settings.workerQueue,
    log: (line) => log('error', line),
  })
  // What the schemes with public keys read: one line each.
  const formats = [
    createOpenPgpKeyFormat({ pool: openPgpPool, normalizeAddress }),
    createSmimeKeyFormat(normalizeAddress),
  ]
  const keyExpiry = createKeyExpiry({ keyRing, formats, clock, log })
  const correspondentKeys = createCorrespondentKeys({
    settings,
    resolver,
    cache,
    store,
    formats,
    clock,
    log,
  })
  const delivery = createDelivery({
    settings: settings.delivery,
    dns: settings.dns,
    table,
    resolver,
    store,
    clock,
    log,
  })
  const tlsrpt = createTlsrpt({ settings, delivery, resolver, store, clock, log })
  const hostedPolicies = createHostedPolicies({
    table,
    resolver,
    store,
    clock,
    log,
    settings: settings.delivery,
  })
  const receivedReports = createReceivedReports({ settings, store, table, clock, log, meter })
  const held = createHeldStore({ ...settings.held, clock, log })
  const pools = { ibe: pool, bb2: bb2Pool, openpgp: openPgpPool, smime: smimePool }
  const backend = settings.redis ? 'redis' : 'files'
  meterParts(meter, { ibe, pools, delivery, store, backend, held, clock })
  return {
    table,
    keyRing,
    resolver,
    directory,
    cache,
    store,
    ibe,
    bb2,
    keys,
    replays: createReplays(settings, store, clock),
    openingFailures: createFailureRate(clock),
    delivery,
    tlsrpt,
    hostedPolicies,
    receivedReports,
    correspondentKeys,
    keyExpiry,
    ownPublicKeys: createOwnPublicKeys({ keyRing, formats }),
    ownRevocationLists: createOwnRevocationLists({ keyRing, clock }),
    openPgpPool,
    threads: createThreadMemory(settings, store, clock, log),
    held,
    meter,
    heldSettings: settings.held,
    signatures: createIbeSignatures({
      engine: createSignatureEngine({ pool }),
      keys,
      directory,
      ownGenerations: createOwnGenerations({
        publishedRecords: (domain) => directory.publishedRecords(domain),
        clock,
      }),
      clock,
      log,
    }),
    schemes: createSchemes({
      meter,
      ibe,
      bb2,
      directory,
      clock,
      keys,
      keyRing,
      correspondentKeys,
      openPgpPool,
      smimePool,
      normalizeAddress,
      smimeTrust: createSmimeTrust({ settings: settings.smime, resolver, cache, clock, log }),
      settings,
      table,
      log,
    }),
    normalizeAddress: remembered(normalizeAddress),
    lookupMs: Math.max(sources.lookupMs, keyLookupMs(settings)),
    warm: () => {
      pool.warm()
      if (!remote) keyExpiry.start() // opens the vault
      cache.get('warm').catch(() => {})
    },
    close: async () => {
      ibe.close()
      hostedPolicies.close()
      keyExpiry.close()
      masterKeys.held.clear()
      remote?.close()
      sources.close()
      await Promise.all([pool.close(), bb2Pool.close(), openPgpPool.close(), smimePool.close()])
      await Promise.all([delivery.close(), tlsrpt.close()])
      await Promise.all([cache.close(), store.close()])
    },
  }
}
