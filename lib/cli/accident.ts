// `hisho accident`: what the IBEmail paper's section 3.2.3 says about leaked keys and passwords, done as far as it can be done here.
import { join } from 'node:path'
import { mkdir } from 'node:fs/promises'
import { writeAtomically } from '../disk/atomic-file.ts'
import { PermError } from '../errors.ts'
import { normalizeAddress } from '../ibe/identity.ts'
import { periodAt, periodBounds } from '../ibe/period.ts'
import { bareRecord, fingerprintOf, parametersOf } from '../services/own-records.ts'
import {
  activeEntries,
  withEntry,
  withMasterKey,
  type MasterKeyEntry,
  type VaultContents,
} from '../vault/contents.ts'
import * as notices from './accident-notices.ts'
import type { Context } from './context.ts'
import { asUsage } from './encrypt.ts'
import { label } from './generation-label.ts'
import { keyRows } from './key-rows.ts'
import { generateEntry, openVault, zoneLineOf } from './vault-session.ts'
import { zoneLine } from './zone-record.ts'

interface Accident {
  readonly since: Date | undefined
  /** The directory for the notices. */
  readonly notices: string
}

const SCHEMES = ['bf', 'cc', 'bb2'] as const

/** New parameters at once, the old ones withdrawn and trusted no more. */
export async function leakedMasterKey(
  context: Context,
  { domain, since, notices: directory }: Accident & { readonly domain: string },
): Promise<void> {
  const vault = await openVault(context)
  const leaked = allActive(vault.contents, domain)
  if (leaked.length === 0)
    throw new PermError('cli/usage', `the vault has no master key of ${domain}`)
  const now = new Date(context.clock.nowMs())
  const { contents, fresh } = await replaced(context, vault.contents, domain, leaked, {
    withdrawn: now.toISOString(),
    leaked: now.toISOString(),
  })
  await vault.save(contents)
  const from = since ?? earliest(leaked)
  const facts = { domain, from, now, fresh: fresh.map(describe) }
  const files = await writeNotices(directory, {
    [`${domain}-users.txt`]: notices.toUsersAboutMasterKey(facts),
    [`${domain}-correspondents.txt`]: notices.toCorrespondents(facts),
  })
  const { terminal } = context
  terminal.line(`New master keys of ${domain} are in the vault; the leaked ones are withdrawn.`)
  await printRecords(context, contents, domain, { fresh, old: leaked })
  printSteps(context, [
    'Copy the vault to all your gateways before you change DNS.',
    'Give the vault a new passphrase (hisho vault passwd), find out how the old key got out, and look for other copies.',
    `Tell all users of ${domain} that mail encrypted for it from ${day(from)} on may have been read, until senders have moved: a day after the change in DNS.`,
    `Tell the operators of your correspondents: a gateway that cannot see DNSSEC holds mail for ${domain} until they confirm the new keys (hisho params accept ${domain}). The old keys vouch for nothing.`,
    ...otherKeys(contents),
    `Mail under way still opens. In six days: hisho kgc retire --domain ${domain}. What was recorded stays readable for whoever has the old key.`,
  ])
  printNotices(context, files)
}

/** They lay in the same vault. */
function otherKeys(contents: VaultContents): string[] {
  const rows = keyRows(contents).filter(({ retired }) => retired === null)
  if (rows.length === 0) return []
  const names = rows.map(({ site, scheme, id }) => `${scheme} ${id} of ${site}`).join(', ')
  return [
    `If the whole vault got out, so did ${names}: make new ones (hisho keys new), carry them to the other sides, and retire these at once.`,
  ]
}

/** Ends by itself with its period; without one, or if told to, by new parameters. */
export async function leakedIdentityKey(
  context: Context,
  {
    address,
    since,
    notices: directory,
    rotate,
  }: Accident & { readonly address: string; readonly rotate: boolean },
): Promise<void> {
  const { mailbox, domain } = mailboxOf(address)
  const vault = await openVault(context)
  const active = allActive(vault.contents, domain)
  if (active.length === 0)
    throw new PermError('cli/usage', `the vault has no master key of ${domain}`)
  const nowMs = context.clock.nowMs()
  const lasting = active.filter((entry) => rotate || entry.period === 'none')
  const { contents, fresh } = await replaced(context, vault.contents, domain, lasting, {
    withdrawn: new Date(nowMs).toISOString(),
  })
  if (fresh.length > 0) await vault.save(contents)
  const spans = active.map((entry) => periodBounds(entry.period, nowMs))
  const until = new Date(
    Math.max(...spans.map((span, at) => (lasting.includes(active[at]!) ? nowMs : span!.endMs))),
  )
  const begins = spans.map((span, at) => span?.startMs ?? Date.parse(active[at]!.created))
  const from = since ?? new Date(Math.min(...begins))
  const files = await writeNotices(directory, {
    [`${mailbox}.txt`]: notices.toUserAboutIdentityKey({
      mailbox,
      from,
      until,
      now: new Date(nowMs),
    }),
  })
  const { terminal } = context
  const periods = [...new Set(active.map(({ period }) => periodAt(period, nowMs) ?? 'no period'))]
  terminal.line(
    `Mail encrypted for ${mailbox} (${periods.join(', ')}) can be read, and mail signed in its name, nothing else.`,
  )
  if (fresh.length > 0) {
    terminal.line(`New master keys of ${domain} are in the vault.`)
    await printRecords(context, contents, domain, { fresh, old: lasting })
  } else {
    terminal.line(
      `It ends by itself on ${until.toISOString().slice(0, 16)}Z. To end it now: --rotate.`,
    )
  }
  printSteps(context, [
    `Tell ${mailbox} that mail from ${day(from)} to ${day(until)} may have been read, and that others may have signed in this name.`,
    'Gateways keep identity keys in memory only: if it came from one, suppose that the master key is gone too (hisho accident master-key).',
  ])
  printNotices(context, files)
}

/** No key is touched: whoever has the password reads the mailbox, where mail is in clear. */
export async function leakedPassword(
  context: Context,
  { address, since, notices: directory }: Accident & { readonly address: string },
): Promise<void> {
  const { mailbox } = mailboxOf(address)
  const now = new Date(context.clock.nowMs())
  const files = await writeNotices(directory, {
    [`${mailbox}.txt`]: notices.toUserAboutPassword({ mailbox, from: since, now }),
  })
  context.terminal.line(`No key is affected, and nothing is to be published.`)
  printSteps(context, [
    `Change the password of ${mailbox} now, and end its sessions.`,
    `See in the logs what was read and sent${since ? ` since ${day(since)}` : ''}: all mail in the mailbox was in clear for whoever had the password.`,
    `Mail that was sent with it was signed in the name of ${mailbox}: tell those who got it.`,
  ])
  printNotices(context, files)
}

function mailboxOf(address: string): { readonly mailbox: string; readonly domain: string } {
  const mailbox = asUsage(address, normalizeAddress)
  return { mailbox, domain: mailbox.slice(mailbox.lastIndexOf('@') + 1) }
}

function allActive(contents: VaultContents, domain: string): MasterKeyEntry[] {
  return SCHEMES.flatMap((scheme) => activeEntries(contents, domain, scheme))
}

/** Each of these gets the dates, and each scheme among them a new generation. */
async function replaced(
  context: Context,
  before: VaultContents,
  domain: string,
  old: readonly MasterKeyEntry[],
  dates: Partial<MasterKeyEntry>,
): Promise<{ readonly contents: VaultContents; readonly fresh: readonly MasterKeyEntry[] }> {
  let contents = before
  const fresh: MasterKeyEntry[] = []
  for (const scheme of SCHEMES) {
    const mine = old.filter((entry) => entry.scheme === scheme)
    const [newest] = mine
    if (!newest) continue
    for (const entry of mine)
      contents = withEntry(contents, domain, { ...entry, ...dates, ...keptDates(entry) })
    const entry = await generateEntry(context, contents, domain, { scheme, period: newest.period })
    contents = withMasterKey(contents, domain, entry)
    fresh.push(entry)
  }
  return { contents, fresh }
}

/** What was withdrawn earlier keeps that date: the time until it can be retired counts from there. */
function keptDates({ withdrawn }: MasterKeyEntry): Partial<MasterKeyEntry> {
  return withdrawn === undefined ? {} : { withdrawn }
}

function earliest(entries: readonly MasterKeyEntry[]): Date {
  return new Date(Math.min(...entries.map((entry) => Date.parse(entry.created))))
}

function describe(entry: MasterKeyEntry): string {
  const parameters = parametersOf(entry)
  return `${label(entry)}, fingerprint ${fingerprintOf(parameters)}\n  ${bareRecord(parameters)}`
}

async function writeNotices(
  directory: string,
  texts: Readonly<Record<string, string>>,
): Promise<string[]> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const files: string[] = []
  for (const [name, text] of Object.entries(texts)) {
    const file = join(directory, name.replaceAll(/[^\w.@+-]/g, '_'))
    await writeAtomically(file, new TextEncoder().encode(text), { mode: 0o600 })
    files.push(file)
  }
  return files
}

async function printRecords(
  { terminal, ...context }: Context,
  contents: VaultContents,
  domain: string,
  {
    fresh,
    old,
  }: { readonly fresh: readonly MasterKeyEntry[]; readonly old: readonly MasterKeyEntry[] },
): Promise<void> {
  terminal.line('\nIn one change of DNS, publish:')
  for (const entry of fresh)
    terminal.line(`  ${await zoneLineOf({ terminal, ...context }, contents, domain, entry)}`)
  terminal.line('and remove:')
  for (const entry of old) terminal.line(`  ${zoneLine(domain, bareRecord(parametersOf(entry)))}`)
}

function printSteps({ terminal }: Context, steps: readonly string[]): void {
  terminal.line('\nThen:')
  for (const step of steps) terminal.line(`  - ${step}`)
}

function printNotices({ terminal }: Context, files: readonly string[]): void {
  terminal.line('\nNotices to send, look through them first:')
  for (const file of files) terminal.line(`  ${file}`)
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}
