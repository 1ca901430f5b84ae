// The schemes there are. A new one is a folder of its own, a line here, and a page of docs.
import { createAgeScheme } from '../age/mail-scheme.ts'
import { AGE } from '../age/settings.ts'
import type { Clock } from '../clock.ts'
import type { Bb2 } from '../ibe/bb2/bb2.ts'
import { BB2, createBb2Scheme } from '../ibe/bb2/mail-scheme.ts'
import type { Directory } from '../ibe/directory/directory.ts'
import type { Ibe } from '../ibe/ibe.ts'
import type { KeySource } from '../ibe/key-source.ts'
import { createIbeScheme, IBE } from '../ibe/mail-scheme.ts'
import type { CorrespondentKeys } from '../mail/correspondent-keys.ts'
import type { Scheme, SchemeKind, SchemeSettings } from '../mail/scheme.ts'
import type { Meter } from '../metrics/meter.ts'
import { createOpenPgpScheme } from '../openpgp/mail-scheme.ts'
import type { OpenPgpPool } from '../openpgp/openpgp.ts'
import { OPENPGP } from '../openpgp/settings.ts'
import type { TableFile } from '../protection/table-file.ts'
import { createSmimeScheme } from '../smime/mail-scheme.ts'
import type { SmimePool } from '../smime/pool.ts'
import { SMIME } from '../smime/settings.ts'
import { createSharedKeyScheme } from '../shared-key/mail-scheme.ts'
import { SHARED_KEY } from '../shared-key/settings.ts'
import type { VaultContents } from '../vault/contents.ts'
import type { Trust } from '../smime/trust/trust.ts'
import type { KeyRing } from '../vault/key-ring.ts'
import { meteredSchemes } from './metered.ts'
import type { Log } from './services.ts'
import type { SharedSettings } from './settings.ts'

/** What they are made of. */
export interface SchemeParts {
  readonly ibe: Ibe
  readonly bb2: Bb2
  readonly directory: Directory
  readonly clock: Clock
  readonly keys: KeySource
  readonly keyRing: KeyRing
  /** Public keys and certificates of others. */
  readonly correspondentKeys: CorrespondentKeys
  readonly openPgpPool: OpenPgpPool
  readonly smimePool: SmimePool
  readonly normalizeAddress: (address: string) => string
  /** Which certificates may be believed. */
  readonly smimeTrust: Trust
  readonly settings: SharedSettings
  readonly table: TableFile
  readonly log: Log
  readonly meter: Meter
}

interface Entry {
  readonly kind: SchemeKind
  readonly create: (parts: SchemeParts & { readonly settingsOf: SettingsOf }) => Scheme
}

type SettingsOf = (site: string) => SchemeSettings

const NO_SITES: VaultContents = new Map()

/** Asked in this order whether a message is theirs: of the form that several share, ibe takes what no other one knows. */
const SCHEMES: readonly Entry[] = [
  {
    kind: SHARED_KEY,
    create: ({ keyRing, settingsOf }) => createSharedKeyScheme({ keys: keyRing, settingsOf }),
  },
  { kind: AGE, create: ({ keyRing }) => createAgeScheme({ identities: keyRing }) },
  {
    kind: OPENPGP,
    create: ({ keyRing, openPgpPool, ...parts }) =>
      createOpenPgpScheme({
        ...parts,
        pool: openPgpPool,
        // A gateway of a KGC has no vault: it seals, and neither signs nor opens.
        keys: parts.settings.kgc ? NO_KEYS : keyRing,
        opensUnbound: () => parts.settings.opensUnbound,
      }),
  },
  {
    kind: SMIME,
    create: ({ keyRing, smimePool, smimeTrust, ...parts }) =>
      createSmimeScheme({
        ...parts,
        pool: smimePool,
        trust: smimeTrust,
        keys: parts.settings.kgc ? NO_KEYS : keyRing,
        opensUnbound: () => parts.settings.opensUnbound,
      }),
  },
  { kind: IBE, create: (parts) => createIbeScheme(parts) },
  {
    kind: BB2,
    create: (parts) => createBb2Scheme({ ...parts, isAllowed: () => parts.settings.allowBb2 }),
  },
]

const NO_KEYS = { contents: async () => NO_SITES, latest: async () => NO_SITES }

/** What a line of the domain table may name. */
export const SCHEME_KINDS: readonly SchemeKind[] = SCHEMES.map(({ kind }) => kind)

export function createSchemes(parts: SchemeParts): readonly Scheme[] {
  const settingsOf: SettingsOf = (site) => parts.table.current().ruleFor(site).settings
  return meteredSchemes(
    SCHEMES.map(({ create }) => create({ ...parts, settingsOf })),
    parts.meter,
  )
}
