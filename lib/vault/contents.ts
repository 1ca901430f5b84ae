// What the vault holds, and its YAML form (docs/formats.md section 7): a map by site name, secrets only.
import { PermError } from '../errors.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { formatYaml, parseYaml, type YamlFile } from '../yaml/document.ts'

export type Period = 'none' | 'day' | 'week' | 'month'

/** One generation of identity-based keys of one of our domains. */
export interface MasterKeyEntry {
  readonly scheme: 'bf'
  /** The serial of the parameters, docs/formats.md section 1.2. */
  readonly n: number
  readonly period: Period
  readonly masterKey: SecretBytes
  /** The public parameters that belong to it, as base64 of 96 bytes: so that nothing has to be computed to show them. */
  readonly publicKey: string
  /** ISO 8601, UTC. */
  readonly created: string
  /** From then on nothing is opened with it. */
  readonly retired?: string
}

export interface Site {
  readonly ibe: readonly MasterKeyEntry[]
}

export type VaultContents = ReadonlyMap<string, Site>

const PERIODS: readonly Period[] = ['none', 'day', 'week', 'month']

/** PermError vault/malformed; the message names the place, never a value. */
export function parseContents(text: string): VaultContents {
  const yaml = parseYaml(text, 'vault', 'vault/malformed', 'secret')
  const root = record(yaml, [], yaml.data)
  if (root['version'] !== 1) throw yaml.errorAt(['version'], 'must be 1')
  const sites = Object.entries(record(yaml, ['sites'], root['sites'] ?? {}))
  return new Map(
    sites.map(([name, value]) => {
      const site = record(yaml, ['sites', name], value)
      const entries = site['ibe'] ?? []
      if (!Array.isArray(entries)) throw yaml.errorAt(['sites', name, 'ibe'], 'must be a list')
      return [
        name,
        { ibe: entries.map((entry, at) => parseEntry(yaml, ['sites', name, 'ibe', at], entry)) },
      ]
    }),
  )
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
  if (entry['scheme'] !== 'bf') throw yaml.errorAt([...path, 'scheme'], 'must be bf')
  const period = PERIODS.find((known) => known === entry['period'])
  if (!period) throw yaml.errorAt([...path, 'period'], `must be one of ${PERIODS.join(', ')}`)
  const base64 = (key: string, size: number): Buffer => {
    const bytes = Buffer.from(text(key), 'base64')
    // Node skips what is not base64.
    if (bytes.length !== size || bytes.toString('base64') !== text(key))
      throw yaml.errorAt([...path, key], `must be base64 of ${size} bytes`)
    return bytes
  }
  const key = base64('master_key', 32)
  base64('public_key', 96)
  return {
    scheme: 'bf',
    n,
    period,
    masterKey: new SecretBytes(key),
    publicKey: text('public_key'),
    created: text('created'),
    ...(entry['retired'] === undefined ? {} : { retired: text('retired') }),
  }
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
          ...(entry.retired === undefined ? {} : { retired: entry.retired }),
        })),
      },
    ]),
  )
  return formatYaml({ version: 1, sites })
}

/** The master key that opens mail for a domain under serial n, unless it was retired. */
export function masterKeyFor(
  contents: VaultContents,
  domain: string,
  n: number,
): MasterKeyEntry | undefined {
  return contents.get(domain)?.ibe.find((entry) => entry.n === n && entry.retired === undefined)
}

/** A copy with one more generation. PermError if that serial exists. */
export function withMasterKey(
  contents: VaultContents,
  domain: string,
  entry: MasterKeyEntry,
): VaultContents {
  const ibe = contents.get(domain)?.ibe ?? []
  if (ibe.some((known) => known.n === entry.n)) {
    throw new PermError('vault/malformed', `vault: ${domain} has a master key n=${entry.n} already`)
  }
  return new Map([...contents, [domain, { ibe: [...ibe, entry] }]])
}

/** A copy in which one generation is retired. PermError if there is none. */
export function withRetired(
  contents: VaultContents,
  domain: string,
  n: number,
  retired: string,
): VaultContents {
  const ibe = contents.get(domain)?.ibe ?? []
  if (!ibe.some((known) => known.n === n)) {
    throw new PermError('vault/malformed', `vault: ${domain} has no master key n=${n}`)
  }
  return new Map([
    ...contents,
    [domain, { ibe: ibe.map((known) => (known.n === n ? { ...known, retired } : known)) }],
  ])
}
