// `hisho init --kgc`: a gateway whose keys come from a KGC. No vault and no master key are made here.
import { X509Certificate } from 'node:crypto'
import { createPrivateKey } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { writeAtomically } from '../disk/atomic-file.ts'
import { PermError } from '../errors.ts'
import { openKgc } from '../services/kgc-keys.ts'
import { parseSharedSettings } from '../services/settings.ts'
import type { Context } from './context.ts'
import { iniValue, withIniValue } from './ini-text.ts'
import { layTable, PLUGIN_INIS, printChanges, type Say } from './init.ts'
import { pinsAfter, surveyKgc, surveyTable, type Survey } from './kgc-survey.ts'
import { packagedText, writeIfAbsent } from './new-files.ts'
import { formatTable } from './terminal.ts'

export interface InitKgcOptions {
  readonly domains: readonly string[]
  readonly url: string
  readonly ca: string
  readonly certificate: string
  readonly key: string
  readonly apply: boolean
}

/** Nothing is written unless the KGC answers. */
export async function initKgc(context: Context, options: InitKgcOptions): Promise<void> {
  const { terminal } = context
  const { domains, apply } = options
  const haraka = context.haraka()
  const say: Say = (outcome, file, more = '') =>
    terminal.line(`${outcome.padEnd(8)} ${file}${more}`)
  const values = iniValues(options, haraka.config)
  await checkKey(options)
  const settings = parseSharedSettings(
    { ...haraka.ini('hisho.ini'), kgc: { ...haraka.ini('hisho.ini')['kgc'], ...values } },
    haraka.config,
  )
  if (!settings.kgc) throw new PermError('cli/usage', '--kgc: is empty')
  const { client, pinFile } = openKgc(settings.kgc)
  try {
    const pins = await pinFile.read()
    terminal.progress('asking the KGC and DNS')
    const survey = await surveyKgc(context, client, pins, domains)
    refuseBad(survey, domains)
    await layIni(join(haraka.config, 'hisho.ini'), values, apply, say)
    for (const name of PLUGIN_INIS) {
      const file = join(haraka.config, name)
      say(await writeIfAbsent(file, () => packagedText(name), 0o644), `config/${name}`)
    }
    await layTable(settings.tableFile, domains, say)
    const isNew = survey.rows.some(({ pin }) => pin === 'unknown')
    const before = existsSync(settings.kgc.pinFile)
    if (isNew) await pinFile.write(pinsAfter(pins, survey, domains))
    say(!isNew ? 'kept' : before ? 'changed' : 'written', settings.kgc.pinFile)
    await printSteps(context, survey, settings.vaultFile, apply)
  } finally {
    client.close()
  }
}

function iniValues({ url, ca, certificate, key }: InitKgcOptions, config: string) {
  const inConfig = (path: string): string => {
    const name = relative(config, resolve(path))
    return name.startsWith('..') ? resolve(path) : name
  }
  const files = { ca_file: inConfig(ca), cert_file: inConfig(certificate), key_file: inConfig(key) }
  return { url, ...files }
}

async function checkKey({ certificate, key }: InitKgcOptions): Promise<void> {
  try {
    const parsed = new X509Certificate(await readFile(certificate))
    if (parsed.checkPrivateKey(createPrivateKey(await readFile(key)))) return
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unknown cause'
    throw new PermError('cli/usage', `--kgc-cert, --kgc-key: ${reason}`, { cause })
  }
  throw new PermError('cli/usage', '--kgc-key: is not the key of --kgc-cert')
}

function refuseBad({ rows }: Survey, domains: readonly string[]): void {
  const changed = rows.find(({ pin }) => pin === 'other')
  if (changed) {
    const reason = `the KGC has other keys of ${changed.domain} than are pinned: hisho kgc trust`
    throw new PermError('cli/usage', reason)
  }
  const without = domains.find((domain) => !rows.some((row) => row.domain === domain))
  if (without !== undefined) {
    const reason = `the KGC has no master key of ${without}: there, hisho init --domain ${without}`
    throw new PermError('protection/no-key', reason)
  }
}

async function layIni(
  file: string,
  values: Readonly<Record<string, string>>,
  apply: boolean,
  say: Say,
): Promise<void> {
  const exists = existsSync(file)
  const before = exists ? await readFile(file, 'utf8') : await packagedText('hisho.ini')
  const missing = Object.entries(values).filter(
    ([key, value]) => iniValue(before, 'kgc', key) !== value,
  )
  if (missing.length === 0) return say('kept', 'config/hisho.ini')
  if (exists && !apply) {
    const lines = missing.map(([key, value]) => `${key}=${value}`).join(', ')
    throw new PermError(
      'cli/usage',
      `config/hisho.ini is there: add to its [kgc] ${lines}, or run again with --apply`,
    )
  }
  const edited = missing.reduce(
    (text, [key, value]) => withIniValue(text, 'kgc', key, value),
    before,
  )
  await writeAtomically(file, new TextEncoder().encode(edited), { mode: 0o644, keepMode: true })
  say(exists ? 'changed' : 'written', 'config/hisho.ini', ' ([kgc])')
}

async function printSteps(
  context: Context,
  survey: Survey,
  vaultFile: string,
  apply: boolean,
): Promise<void> {
  const { terminal } = context
  const { head, rows } = surveyTable(survey)
  terminal.line(
    '\nThe keys of the KGC, as pinned now. Compare with what `hisho kgc serve` shows there:',
  )
  for (const line of formatTable(head, rows).split('\n')) terminal.line(`  ${line}`)
  const hints = await printChanges(context, apply)
  terminal.line('\nThen restart Haraka and run `hisho doctor`. To know:')
  const unpublished = survey.rows.some(({ dns }) => dns !== 'same')
  const notes = [
    ...hints,
    ...(unpublished
      ? ['What is to be published, `hisho params show DOMAIN` says on the KGC.']
      : []),
    ...(existsSync(vaultFile)
      ? [
          `${vaultFile} is not used any more. Move it to the KGC, and from here, with its passphrase.`,
        ]
      : []),
    'While the KGC is away, mail sealed for these domains waits at its senders.',
  ]
  for (const note of notes) terminal.line(`  - ${note}`)
}
