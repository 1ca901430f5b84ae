// What the vault holds, and its YAML form (docs/formats.md section 7): a map by site name, secrets only.
import { PermError } from '../errors.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { formatYaml, parseYaml, type YamlFile } from '../yaml/document.ts'
import { parseAgeIdentities, plainAgeIdentity } from './age-identities.ts'
import { MAIL_KEY_SECTIONS, parseMailKeys, plainMailKey } from './mail-keys.ts'
import { parseSharedKeys, plainSharedKey } from './shared-keys.ts'
import { withSite, type Site, type VaultContents } from './site.ts'

export type Period = 'none' | 'day' | 'week' | 'month'

/** What a master key is for: to encrypt (`bf`), to sign (`cc`), or to be read by senders that know the paper's format only (`bb2`). */
export type MasterKeyScheme = 'bf' | 'cc' | 'bb2'

/** One generation of identity-based keys of one of our domains, known by scheme and n. */
export interface MasterKeyEntry {
  readonly scheme: MasterKeyScheme
  /** The serial of the parameters, docs/formats.md section 1. */
  readonly n: number
  readonly period: Period
  readonly masterKey: SecretBytes
  /** The public parameters that belong to it, base64: so that nothing has to be computed to show them. */
  readonly publicKey: string
  /** ISO 8601, UTC. */
  readonly created: string
  /** When its record was first seen in DNS. */
  readonly published?: string
  /** From then on its record is not published any more; it still opens what is under way. */
  readonly withdrawn?: string
  /** When it became known that somebody else may have it: it vouches for no other generation. */
  readonly leaked?: string
  /** From then on nothing is opened with it. */
  readonly retired?: string
}

/** What may happen to a generation, and when, ISO 8601. */
const DATES = ['published', 'withdrawn', 'leaked', 'retired'] as const

export type { VaultContents } from './site.ts'

const PERIODS: readonly Period[] = ['none', 'day', 'week', 'month']

/** Octets of master key and public key: docs/formats.md sections 1.1 and 3. */
const SIZES: Readonly<Record<MasterKeyScheme, readonly [number, number]>> = {
  bf: [32, 96],
  cc: [32, 96],
  bb2: [128, 576],
}
const SCHEMES: readonly MasterKeyScheme[] = ['bf', 'cc', 'bb2']

/** PermError vault/malformed; the message names the place, never a value. */
export function parseContents(text: string): VaultContents {
  const yaml = parseYaml(text, 'vault', 'vault/malformed', 'secret')
  const root = record(yaml, [], yaml.data)
  if (root['version'] !== 1) throw yaml.errorAt(['version'], 'must be 1')
  const sites = Object.entries(record(yaml, ['sites'], root['sites'] ?? {}))
  const contents = new Map(
    sites.map(([name, value]) => [name, parseSite(yaml, ['sites', name], value)] as const),
  )
  checkKeyIds(yaml, contents)
  return contents
}

function parseSite(yaml: YamlFile, path: readonly string[], value: unknown): Site {
  const site = record(yaml, path, value)
  const entries = site['ibe'] ?? []
  if (!Array.isArray(entries)) throw yaml.errorAt([...path, 'ibe'], 'must be a list')
  return {
    ibe: entries.map((entry, at) => parseEntry(yaml, [...path, 'ibe', at], entry)),
    shared: parseSharedKeys(yaml, [...path, 'shared'], site['shared'] ?? []),
    age: parseAgeIdentities(yaml, [...path, 'age'], site['age'] ?? []),
    openpgp: parseMailKeys(yaml, [...path, 'openpgp'], site['openpgp'] ?? []),
    smime: parseMailKeys(yaml, [...path, 'smime'], site['smime'] ?? []),
    ca: parseMailKeys(yaml, [...path, 'ca'], site['ca'] ?? []),
  }
}

/** A message names its key by the id alone: it must lead to one site. */
function checkKeyIds(yaml: YamlFile, contents: VaultContents): void {
  const seen = new Set<string>()
  for (const [name, { shared }] of contents) {
    for (const [at, { id }] of shared.entries()) {
      if (seen.has(id)) throw yaml.errorAt(['sites', name, 'shared', at, 'id'], 'stands here twice')
      seen.add(id)
    }
  }
}

function parseEntry(
  yaml: YamlFile,
  path: readonly (string | number)[],
  value: unknown,
): MasterKeyEntry {
  const entry = record(yaml, path, value)
  const text = (key: string): string => {
    const found = entry[key]
    if (typeof found !== 'string') throw yaml.errorAt([...path, key], 'must be a text')
    return found
  }
  const n = entry['n']
  if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 1)
    throw yaml.errorAt([...path, 'n'], 'must be a positive number')
  const scheme = SCHEMES.find((known) => known === entry['scheme'])
  if (!scheme) throw yaml.errorAt([...path, 'scheme'], `must be one of ${SCHEMES.join(', ')}`)
  const period = PERIODS.find((known) => known === entry['period'])
  if (!period) throw yaml.errorAt([...path, 'period'], `must be one of ${PERIODS.join(', ')}`)
  const base64 = (key: string, size: number): Buffer => {
    const bytes = Buffer.from(text(key), 'base64')
    // Node skips what is not base64.
    if (bytes.length !== size || bytes.toString('base64') !== text(key))
      throw yaml.errorAt([...path, key], `must be base64 of ${size} bytes`)
    return bytes
  }
  const [masterKeyBytes, publicKeyBytes] = SIZES[scheme]
  const key = base64('master_key', masterKeyBytes)
  base64('public_key', publicKeyBytes)
  return {
    scheme,
    n,
    period,
    masterKey: new SecretBytes(key),
    publicKey: text('public_key'),
    created: text('created'),
    ...datesOf((date) => (entry[date] === undefined ? undefined : text(date))),
  }
}

function datesOf(
  read: (date: (typeof DATES)[number]) => string | undefined,
): Partial<Record<(typeof DATES)[number], string>> {
  return Object.fromEntries(
    DATES.flatMap((date) => {
      const value = read(date)
      return value === undefined ? [] : [[date, value]]
    }),
  )
}

function record(
  yaml: YamlFile,
  path: readonly (string | number)[],
  value: unknown,
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw yaml.errorAt(path, 'must be a mapping')
  return value as Record<string, unknown>
}

/** The YAML text. It holds every secret: seal it at once. */
export function formatContents(contents: VaultContents): string {
  const sites = Object.fromEntries(
    [...contents].map(([name, site]) => [
      name,
      {
        ibe: site.ibe.map((entry) => ({
          scheme: entry.scheme,
          n: entry.n,
          period: entry.period,
          master_key: Buffer.from(entry.masterKey.bytes).toString('base64'),
          public_key: entry.publicKey,
          created: entry.created,
          ...datesOf((date) => entry[date]),
        })),
        ...(site.shared.length > 0 && { shared: site.shared.map(plainSharedKey) }),
        ...(site.age.length > 0 && { age: site.age.map(plainAgeIdentity) }),
        ...Object.fromEntries(
          MAIL_KEY_SECTIONS.filter((section) => site[section].length > 0).map((section) => [
            section,
            site[section].map(plainMailKey),
          ]),
        ),
      },
    ]),
  )
  return formatYaml({ version: 1, sites })
}

/** A domain's entries of one scheme, the newest first, retired ones included. */
export function entriesOf(
  contents: VaultContents,
  domain: string,
  scheme: MasterKeyScheme,
): MasterKeyEntry[] {
  const entries = contents.get(domain)?.ibe ?? []
  return entries.filter((entry) => entry.scheme === scheme).sort((one, other) => other.n - one.n)
}

/** Those that open or sign, the newest first. */
export function activeEntries(
  contents: VaultContents,
  domain: string,
  scheme: MasterKeyScheme,
): MasterKeyEntry[] {
  return entriesOf(contents, domain, scheme).filter((entry) => entry.retired === undefined)
}

/** A copy with one more generation. PermError if that serial exists. */
export function withMasterKey(
  contents: VaultContents,
  domain: string,
  entry: MasterKeyEntry,
): VaultContents {
  const ibe = contents.get(domain)?.ibe ?? []
  if (ibe.some((known) => known.n === entry.n && known.scheme === entry.scheme)) {
    const which = `master key ${entry.scheme} n=${entry.n}`
    throw new PermError('vault/malformed', `vault: ${domain} has a ${which} already`)
  }
  return withSite(contents, domain, { ibe: [...ibe, entry] })
}

/** A copy in which something about one generation is changed. PermError if there is none. */
export function withEntry(
  contents: VaultContents,
  domain: string,
  changed: MasterKeyEntry,
): VaultContents {
  const isIt = ({ n, scheme }: MasterKeyEntry): boolean =>
    n === changed.n && scheme === changed.scheme
  const ibe = contents.get(domain)?.ibe ?? []
  if (!ibe.some(isIt)) {
    const which = `master key ${changed.scheme} n=${changed.n}`
    throw new PermError('vault/malformed', `vault: ${domain} has no ${which}`)
  }
  return withSite(contents, domain, { ibe: ibe.map((known) => (isIt(known) ? changed : known)) })
}
