// `hisho kgc`: generations of master keys.
import { PermError } from '../errors.ts'
import { normalizeDomain } from '../ibe/mail-domain.ts'
import { bareRecord, fingerprintOf, parametersOf } from '../services/own-records.ts'
import {
  activeEntries,
  entriesOf,
  withEntry,
  withMasterKey,
  type MasterKeyEntry,
  type MasterKeyScheme,
  type Period,
  type VaultContents,
} from '../vault/contents.ts'
import type { Context } from './context.ts'
import { label } from './generation-label.ts'
import { askYes, isInteractive } from './prompt.ts'
import { fetchFacts } from './published.ts'
import { QUEUE_DAYS, retireAtMs } from './rotation.ts'
import { formatTable } from './terminal.ts'
import { generateEntry, openVault, zoneLineOf } from './vault-session.ts'
import { zoneLine } from './zone-record.ts'

export interface NewOptions {
  readonly domain: string
  readonly scheme: MasterKeyScheme
  /** Undefined: as the newest. */
  readonly period: Period | undefined
}

export async function newGeneration(
  context: Context,
  { domain, scheme, period }: NewOptions,
): Promise<void> {
  const { terminal } = context
  const vault = await openVault(context)
  const newest = activeEntries(vault.contents, domain, scheme)[0]
  const chosen = period ?? newest?.period ?? 'month'
  const entry = await generateEntry(context, vault.contents, domain, { scheme, period: chosen })
  const contents = withMasterKey(vault.contents, domain, entry)
  await vault.save(contents)
  terminal.line(`master key ${label(entry)} of ${domain} is in the vault (period ${entry.period})`)
  terminal.line(`\nPublish now${newest ? ', beside what is there' : ''}:`)
  terminal.line(`  ${await zoneLineOf(context, contents, domain, entry)}`)
  if (newest) terminal.line(`\nThen: hisho kgc rotate --domain ${domain}`)
}

export interface RetireOptions {
  readonly domain: string
  readonly scheme: MasterKeyScheme | undefined
  /** Undefined: all whose time has come. */
  readonly n: number | undefined
  readonly queueDays: number | undefined
  readonly yes: boolean
  readonly force: boolean
}

/** Those that are named, or whose time has come. Refused before that, unless forced. */
export async function retireGenerations(context: Context, options: RetireOptions): Promise<void> {
  const { domain, n, yes, force } = options
  const { terminal } = context
  const vault = await openVault(context)
  const chosen = await chooseRetired(context, vault.contents, options)
  if (chosen.length === 0) return terminal.line(`nothing of ${domain} is to be retired now`)
  const [first] = chosen
  if (n !== undefined && first?.retired !== undefined) {
    terminal.line(`master key ${label(first)} of ${domain} was retired on ${first.retired} already`)
    return
  }
  if (!force)
    for (const entry of chosen) await refuseIfEarly(context, vault.contents, options, entry)
  const names = chosen.map(label).join(', ')
  if (!yes) await confirm(domain, names)
  const retired = new Date(context.clock.nowMs()).toISOString()
  const contents = chosen.reduce(
    (changed, entry) => withEntry(changed, domain, { ...entry, retired }),
    vault.contents,
  )
  await vault.save(contents)
  terminal.line(
    `${names} of ${domain}: retired. What was encrypted with it does not open any more.`,
  )
  terminal.line('\nRemove from DNS, if it is still there:')
  for (const entry of chosen)
    terminal.line(`  ${zoneLine(domain, bareRecord(parametersOf(entry)))}`)
}

async function chooseRetired(
  context: Context,
  contents: VaultContents,
  { domain, scheme, n, queueDays = QUEUE_DAYS }: RetireOptions,
): Promise<MasterKeyEntry[]> {
  if (n !== undefined) {
    const entry = entriesOf(contents, domain, scheme ?? 'bf').find((known) => known.n === n)
    if (entry) return [entry]
    throw new PermError(
      'cli/usage',
      `the vault has no master key ${scheme ?? 'bf'} n=${n} of ${domain}`,
    )
  }
  const { ttlSeconds } = await fetchFacts(context, domain)
  const now = context.clock.nowMs()
  const schemes = scheme ? [scheme] : (['bf', 'cc', 'bb2'] as const)
  return schemes.flatMap((known) =>
    activeEntries(contents, domain, known)
      .slice(1)
      .filter((entry) => retireAtMs(entry, { ttlSeconds, queueDays }) <= now),
  )
}

async function refuseIfEarly(
  context: Context,
  contents: VaultContents,
  { domain, queueDays = QUEUE_DAYS }: RetireOptions,
  entry: MasterKeyEntry,
): Promise<void> {
  const name = `${label(entry)} of ${domain}`
  const refusal = (why: string): PermError => new PermError('cli/usage', `${name} ${why}`)
  if (activeEntries(contents, domain, entry.scheme)[0]?.n === entry.n)
    throw refusal('is the newest: rotate first (hisho kgc rotate), or say --force and go without')
  const facts = await fetchFacts(context, domain)
  if (facts.isPublished(entry)) throw refusal('is still in DNS: remove its record first')
  const at = retireAtMs(entry, { ttlSeconds: facts.ttlSeconds, queueDays })
  if (at === Infinity) throw refusal('was not withdrawn (hisho kgc rotate), or say --force')
  if (at > context.clock.nowMs())
    throw refusal(
      `may be needed until ${new Date(at).toISOString()}: mail that waits in queues would not open (--force does it all the same)`,
    )
}

async function confirm(domain: string, names: string): Promise<void> {
  if (!isInteractive()) throw new PermError('cli/usage', 'nobody to ask: say --yes')
  const question = `Mail under way that was encrypted with ${names} of ${domain} will not open. Retire it?`
  if (!(await askYes(question))) throw new PermError('cli/usage', 'nothing was changed')
}

export async function listGenerations(
  context: Context,
  { domain, json }: { readonly domain: string | undefined; readonly json: boolean },
): Promise<void> {
  const { contents } = await openVault(context)
  const rows = generationRows(contents).filter(
    (row) => domain === undefined || row.domain === domain,
  )
  if (json) return context.terminal.json(rows)
  context.terminal.line(
    formatTable(
      ['DOMAIN', 'SCHEME', 'N', 'PERIOD', 'CREATED', 'FINGERPRINT', 'STATE'],
      rows.map((row) => [
        row.domain,
        row.scheme,
        String(row.n),
        row.period,
        row.created,
        row.fingerprint,
        stateOf(row),
      ]),
    ),
  )
}

export interface GenerationRow {
  readonly domain: string
  readonly scheme: string
  readonly n: number
  readonly period: Period
  readonly created: string
  readonly withdrawn: string | null
  readonly retired: string | null
  /** What the domain publishes for it, without signatures. */
  readonly record: string
  /** Of that record. */
  readonly fingerprint: string
}

export function generationRows(contents: VaultContents): GenerationRow[] {
  return [...contents].flatMap(([domain, site]) =>
    site.ibe.map((entry) => ({
      domain,
      scheme: entry.scheme,
      n: entry.n,
      period: entry.period,
      created: entry.created,
      withdrawn: entry.withdrawn ?? null,
      retired: entry.retired ?? null,
      record: bareRecord(parametersOf(entry)),
      fingerprint: fingerprintOf(parametersOf(entry)),
    })),
  )
}

export function stateOf({
  withdrawn,
  retired,
}: Pick<GenerationRow, 'withdrawn' | 'retired'>): string {
  if (retired !== null) return `retired ${retired}`
  return withdrawn === null ? 'active' : `withdrawn ${withdrawn}`
}

/** PermError cli/usage. */
export function parseDomain(text: string): string {
  try {
    return normalizeDomain(text)
  } catch (cause) {
    throw new PermError('cli/usage', `${JSON.stringify(text)} is no domain`, { cause })
  }
}
