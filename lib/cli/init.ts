// `hisho init`: the files in Haraka's directory, a master key for each domain, and what is left for the operator to do.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAtomically } from '../disk/atomic-file.ts'
import { PermError } from '../errors.ts'
import { ownRecords } from '../services/own-records.ts'
import { activeEntries, withMasterKey, type Period, type VaultContents } from '../vault/contents.ts'
import { writeVault } from '../vault/vault.ts'
import type { Context } from './context.ts'
import { findChanges } from './haraka-changes.ts'
import { iniValue, withIniValue } from './ini-text.ts'
import {
  newPassphrase,
  packagedText,
  PASSPHRASE_FILE,
  writeIfAbsent,
  type FileOutcome,
} from './new-files.ts'
import { editTable, withLocal } from './table-edit.ts'
import { generateEntry, openVault } from './vault-session.ts'
import { zoneLine } from './zone-record.ts'

export const PLUGIN_INIS = ['encrypt', 'decrypt', 'sign', 'verify', 'mta_sts', 'tlsrpt'].map(
  (name) => `hisho.${name}.ini`,
)

/** A line about a file. */
export type Say = (outcome: FileOutcome, file: string, more?: string) => void

export interface InitOptions {
  readonly domains: readonly string[]
  readonly period: Period
  /** Whether to change config/plugins, connection.ini and an existing hisho.ini too. */
  readonly apply: boolean
}

export async function init(
  context: Context,
  { domains, period, apply }: InitOptions,
): Promise<void> {
  const { terminal } = context
  const { config } = context.haraka()
  const say: Say = (outcome, file, more = '') =>
    terminal.line(`${outcome.padEnd(8)} ${file}${more}`)

  await layPassphrase(context, apply, say)
  for (const name of PLUGIN_INIS)
    say(await writeIfAbsent(join(config, name), () => packagedText(name), 0o644), `config/${name}`)

  const { tableFile, vaultFile } = context.settings()
  await layTable(tableFile, domains, say)

  const vault = await openOrCreate(context, vaultFile)
  let contents = vault.contents
  for (const domain of domains) {
    for (const scheme of ['bf', 'cc'] as const) {
      if (activeEntries(contents, domain, scheme).length > 0) continue
      const entry = await generateEntry(context, contents, domain, { scheme, period })
      contents = withMasterKey(contents, domain, entry)
    }
  }
  const changed = contents !== vault.contents
  if (changed) await vault.save(contents)
  say(changed ? vault.outcome : 'kept', vaultFile)

  await printSteps(context, contents, domains, apply)
}

export async function layTable(file: string, domains: readonly string[], say: Say): Promise<void> {
  let outcome = await writeIfAbsent(file, () => packagedText('hisho.yaml'), 0o644)
  for (const domain of domains) {
    const edited = await editTable(file, withLocal(domain))
    if (edited === 'changed' && outcome === 'kept') outcome = 'changed'
  }
  say(outcome, file)
}

async function openOrCreate(
  context: Context,
  file: string,
): Promise<{
  readonly contents: VaultContents
  readonly outcome: FileOutcome
  save(contents: VaultContents): Promise<void>
}> {
  if (existsSync(file)) return { ...(await openVault(context)), outcome: 'changed' }
  return {
    contents: new Map(),
    outcome: 'written',
    save: async (contents) => {
      context.terminal.progress('sealing the vault (takes about a second)')
      await writeVault(file, contents, await context.passphrase())
    },
  }
}

/** hisho.ini, and a passphrase in a file of its own if nothing else gives one. */
async function layPassphrase(context: Context, apply: boolean, say: Say): Promise<void> {
  const { environment } = context
  const { config } = context.haraka()
  const iniFile = join(config, 'hisho.ini')
  const secretFile = join(config, PASSPHRASE_FILE)
  const exists = existsSync(iniFile)
  const before = exists ? await readFile(iniFile, 'utf8') : await packagedText('hisho.ini')
  const given =
    Boolean(iniValue(before, 'main', 'passphrase_file')) ||
    Boolean(environment['HISHO_PASSPHRASE']) ||
    hasCredential(environment['CREDENTIALS_DIRECTORY'])
  if (given) {
    say(await writeIfAbsent(iniFile, () => packagedText('hisho.ini'), 0o644), 'config/hisho.ini')
    return
  }
  if (exists && !apply) {
    throw new PermError(
      'cli/usage',
      `config/hisho.ini is there and names no passphrase_file, and no other source gives a passphrase: add passphrase_file=${PASSPHRASE_FILE} to its [main] and write a passphrase there (mode 0600), set HISHO_PASSPHRASE, or run again with --apply`,
    )
  }
  // The passphrase first: should this end between the two, the next run finds it and uses it.
  say(await writeIfAbsent(secretFile, newPassphrase, 0o600), `config/${PASSPHRASE_FILE}`)
  const edited = withIniValue(before, 'main', 'passphrase_file', PASSPHRASE_FILE)
  await writeAtomically(iniFile, new TextEncoder().encode(edited), { mode: 0o644, keepMode: true })
  say(exists ? 'changed' : 'written', 'config/hisho.ini', ` (passphrase_file=${PASSPHRASE_FILE})`)
}

function hasCredential(directory: string | undefined): boolean {
  return directory !== undefined && existsSync(join(directory, 'hisho-passphrase'))
}

async function printSteps(
  context: Context,
  contents: VaultContents,
  domains: readonly string[],
  apply: boolean,
): Promise<void> {
  const { terminal } = context
  const { config } = context.haraka()
  terminal.line('\nPublish in DNS, so that others can encrypt to you (bf) and know your mail (cc):')
  const { ibe } = context.services('without-table')
  for (const domain of domains)
    for (const { text } of await ownRecords(ibe, contents, domain))
      terminal.line(`  ${zoneLine(domain, text)}`)
  const hints = await printChanges(context, apply)
  terminal.line('\nThen restart Haraka and run `hisho doctor`. To know:')
  for (const hint of hints) terminal.line(`  - ${hint}`)
  terminal.line(
    '  - Keep a copy of the vault and of its passphrase, apart from each other: without them no mail opens.',
  )
  const { passphraseFile } = context.settings()
  if (passphraseFile === join(config, PASSPHRASE_FILE)) {
    terminal.line(
      `  - The passphrase lies in ${passphraseFile}, beside the vault: whoever copies this directory can open it. Better is a systemd credential (LoadCredentialEncrypted=hisho-passphrase in Haraka's unit); remove the file and its line in hisho.ini then.`,
    )
  }
}

/** What must change in Haraka's own files, changed with `apply`. Returns what no program should change by itself. */
export async function printChanges(context: Context, apply: boolean): Promise<readonly string[]> {
  const { terminal } = context
  const found = await findChanges(context.haraka())
  const { changes, hints } = found
  if (apply) await found.apply()
  if (changes.length > 0) {
    terminal.line(
      apply ? '\nChanged in Haraka:' : '\nChange in Haraka (or run again with --apply):',
    )
    for (const { file, text } of changes) terminal.line(`  ${file}: ${text}`)
  }
  return hints
}
