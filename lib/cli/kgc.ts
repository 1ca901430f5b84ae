// `hisho kgc`: generations of master keys.
import { PermError } from '../errors.ts'
import { normalizeDomain } from '../ibe/mail-domain.ts'
import {
  activeEntries,
  entriesOf,
  withEntry,
  withMasterKey,
  type Period,
  type VaultContents,
} from '../vault/contents.ts'
import type { Context } from './context.ts'
import { askYes, isInteractive } from './prompt.ts'
import { formatTable } from './terminal.ts'
import { generateEntry, openVault } from './vault-session.ts'
import { recordText, zoneLine } from './zone-record.ts'

export async function newGeneration(
  context: Context,
  domain: string,
  period: Period | undefined,
): Promise<void> {
  const { terminal } = context
  const vault = await openVault(context)
  const newest = activeEntries(vault.contents, domain, 'bf')[0]
  const chosen = period ?? newest?.period ?? 'month'
  const entry = await generateEntry(context, vault.contents, domain, {
    scheme: 'bf',
    period: chosen,
  })
  await vault.save(withMasterKey(vault.contents, domain, entry))
  terminal.line(`master key n=${entry.n} of ${domain} is in the vault (period ${chosen})`)
  terminal.line('\nPublish now, beside what is there:')
  terminal.line(`  ${zoneLine(domain, recordText(entry))}`)
  if (!newest) return
  terminal.line(`\nWithdraw after a day, when nobody remembers it as the newest:`)
  terminal.line(`  ${zoneLine(domain, recordText(newest))}`)
  terminal.line(
    `\nn=${newest.n} still opens mail until \`hisho kgc retire --domain ${domain} --n ${newest.n}\`: wait for the mail that is under way, a week or two.`,
  )
}

export interface RetireOptions {
  readonly n: number
  readonly yes: boolean
  readonly force: boolean
}

export async function retireGeneration(
  context: Context,
  domain: string,
  { n, yes, force }: RetireOptions,
): Promise<void> {
  const { terminal } = context
  const vault = await openVault(context)
  const entry = entriesOf(vault.contents, domain, 'bf').find((known) => known.n === n)
  if (!entry) throw new PermError('cli/usage', `the vault has no master key n=${n} of ${domain}`)
  if (entry.retired !== undefined) {
    terminal.line(`master key n=${n} of ${domain} was retired on ${entry.retired} already`)
    return
  }
  if (activeEntries(vault.contents, domain, 'bf')[0] === entry && !force) {
    throw new PermError(
      'cli/usage',
      `n=${n} is the newest master key of ${domain}: make a newer one first (hisho kgc new), or say --force and receive nothing encrypted any more`,
    )
  }
  if (!yes) await confirm(domain, n)
  const retired = new Date(context.clock.nowMs()).toISOString()
  await vault.save(withEntry(vault.contents, domain, { ...entry, retired }))
  terminal.line(
    `master key n=${n} of ${domain} is retired: mail that was encrypted with it does not open any more`,
  )
  terminal.line('\nWithdraw, if it is still published:')
  terminal.line(`  ${zoneLine(domain, recordText(entry))}`)
}

async function confirm(domain: string, n: number): Promise<void> {
  if (!isInteractive()) throw new PermError('cli/usage', 'nobody to ask: say --yes')
  const question = `Mail under way that was encrypted with n=${n} of ${domain} will not open. Retire it?`
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
      ['DOMAIN', 'N', 'PERIOD', 'CREATED', 'STATE'],
      rows.map((row) => [row.domain, String(row.n), row.period, row.created, stateOf(row.retired)]),
    ),
  )
}

export interface GenerationRow {
  readonly domain: string
  readonly scheme: string
  readonly n: number
  readonly period: Period
  readonly created: string
  readonly retired: string | null
  /** What the domain publishes for it. */
  readonly record: string
}

export function generationRows(contents: VaultContents): GenerationRow[] {
  return [...contents].flatMap(([domain, site]) =>
    site.ibe.map((entry) => ({
      domain,
      scheme: entry.scheme,
      n: entry.n,
      period: entry.period,
      created: entry.created,
      retired: entry.retired ?? null,
      record: recordText(entry),
    })),
  )
}

export function stateOf(retired: string | null): string {
  return retired === null ? 'active' : `retired ${retired}`
}

/** PermError cli/usage. */
export function parseDomain(text: string): string {
  try {
    return normalizeDomain(text)
  } catch (cause) {
    throw new PermError('cli/usage', `${JSON.stringify(text)} is no domain`, { cause })
  }
}
