// Our own files: that they can be read, by whom, and what is wrong in them.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseDomainTable, type DomainTable } from '../../protection/domain-table.ts'
import {
  inConfigOf,
  parseDaneSettings,
  parseMtaStsSettings,
} from '../../services/delivery-settings.ts'
import type { Ini } from '../../services/ini-reader.ts'
import { parseMetricsSettings } from '../../services/metrics-settings.ts'
import {
  parseDecryptSettings,
  parseEncryptSettings,
  parseSignSettings,
  parseVerifySettings,
  parseWellKnownPluginSettings,
} from '../../services/plugin-settings.ts'
import type { SharedSettings } from '../../services/settings.ts'
import { SCHEME_KINDS } from '../../services/schemes.ts'
import { parseReceivingSettings } from '../../services/tlsrpt-receive-settings.ts'
import { parseTlsrptSettings } from '../../services/tlsrpt-settings.ts'
import type { VaultContents } from '../../vault/contents.ts'
import type { Context } from '../context.ts'
import { packageRoot, type HarakaDirectory } from '../haraka-directory.ts'
import { readIniKeys } from '../ini-text.ts'
import { readTable } from '../table-edit.ts'
import { openVault } from '../vault-session.ts'
import { fail, ok, reasonOf, warn, type Finding } from './finding.ts'
import { ownerOf, wantedOwner } from './owner.ts'

const PARSERS: Readonly<Record<string, (ini: Ini, context: Context) => unknown>> = {
  'hisho.ini': (_ini, context) => context.settings(),
  'hisho.encrypt.ini': parseEncryptSettings,
  'hisho.decrypt.ini': parseDecryptSettings,
  'hisho.sign.ini': parseSignSettings,
  'hisho.verify.ini': parseVerifySettings,
  'hisho.mta_sts.ini': (ini, context) =>
    parseMtaStsSettings(ini, inConfigOf(context.haraka().config)),
  'hisho.dane.ini': parseDaneSettings,
  'hisho.well_known.ini': parseWellKnownPluginSettings,
  'hisho.tlsrpt.ini': (ini, context) => {
    parseTlsrptSettings(ini, inConfigOf(context.haraka().config))
    parseReceivingSettings(ini)
  },
  'hisho.metrics.ini': parseMetricsSettings,
}

export function checkSettings(context: Context): Finding[] {
  const haraka = context.haraka()
  return Object.entries(PARSERS).map(([name, parse]) => {
    try {
      parse(haraka.ini(name), context)
    } catch (error) {
      return fail(name, reasonOf(error), `mend config/${name}`)
    }
    return checkKeys(haraka, name)
  })
}

/** A key with a slip of the pen does nothing, in silence. */
function checkKeys(haraka: HarakaDirectory, name: string): Finding {
  const file = join(haraka.config, name)
  if (!existsSync(file)) return ok(name, 'not there: the defaults hold')
  const { keys, unreadable } = readIniKeys(readFileSync(file, 'utf8'))
  const known = readIniKeys(readFileSync(join(packageRoot, 'config', name), 'utf8')).keys
  const unknown = keys
    .filter(({ section, key }) => !known.some((one) => one.section === section && one.key === key))
    .map(({ section, key }) => `[${section}] ${key}`)
  const problems = [
    ...(unknown.length > 0 ? [`no such key: ${unknown.join(', ')}`] : []),
    ...(unreadable.length > 0 ? [`line ${unreadable.join(', ')} is no key=value`] : []),
  ]
  if (problems.length > 0) return warn(name, problems.join('; '), `mend config/${name}`)
  const secret = /^[ \t]*(?:password[ \t]*=[ \t]*\S|url[ \t]*=.*:[^/@]+@)/m
  if (secret.test(readFileSync(file, 'utf8')) && (statSync(file).mode & 0o077) !== 0)
    return warn(name, 'others may read the password of Redis in it', `chmod 600 ${file}`)
  return ok(name, 'good')
}

export async function checkTable(
  file: string,
): Promise<{ readonly finding: Finding; readonly table?: DomainTable }> {
  try {
    const table = parseDomainTable(await readTable(file), file, SCHEME_KINDS)
    if (table.local.size === 0) {
      const advice = `name them in local: of ${file}`
      return { finding: warn('table', 'no local domain: nothing is decrypted here', advice), table }
    }
    const text = `${table.local.size} local, ${table.rules.length} lines`
    return { finding: ok('table', text), table }
  } catch (error) {
    return { finding: fail('table', reasonOf(error), 'mend it; `hisho domains check` tells') }
  }
}

export async function checkVault(
  context: Context,
): Promise<{ readonly findings: readonly Finding[]; readonly contents?: VaultContents }> {
  const settings = context.settings()
  const { vaultFile } = settings
  if (!existsSync(vaultFile))
    return { findings: [fail('vault', `${vaultFile} does not exist`, 'hisho init --domain D')] }
  const files = [
    checkPrivate('vault file', vaultFile, context.haraka()),
    ...checkPassphraseFile(settings, context.haraka()),
  ]
  try {
    await context.passphrase()
  } catch (error) {
    // Its source may be one that only Haraka's unit has.
    const found = `not opened: ${reasonOf(error)}`
    const finding =
      settings.passphraseFile === ''
        ? warn('vault', found, 'run the doctor where the passphrase is')
        : fail('vault', found, 'make the passphrase file readable for its owner alone')
    return { findings: [...files, finding] }
  }
  try {
    const { contents } = await openVault(context)
    const sites = [...contents.keys()].join(', ') || 'no sites'
    return { findings: [...files, ok('vault', `opens: ${sites}`)], contents }
  } catch (error) {
    const advice = 'give the right passphrase, or bring back a copy of the vault'
    return { findings: [...files, fail('vault', reasonOf(error), advice)] }
  }
}

function checkPassphraseFile(
  { passphraseFile }: SharedSettings,
  haraka: HarakaDirectory,
): Finding[] {
  if (passphraseFile === '') return []
  return existsSync(passphraseFile)
    ? [checkPrivate('passphrase file', passphraseFile, haraka)]
    : [
        fail(
          'passphrase file',
          `${passphraseFile} does not exist`,
          'bring it back, or change hisho.ini',
        ),
      ]
}

/** Mode 0600, and of the user that Haraka runs as. */
export function checkPrivate(check: string, file: string, haraka: HarakaDirectory): Finding {
  const { mode } = statSync(file)
  const octal = (mode & 0o777).toString(8).padStart(4, '0')
  if ((mode & 0o077) !== 0)
    return fail(check, `mode ${octal}: others may use it`, `chmod 600 ${file}`)
  const [owner, wanted] = [ownerOf(file), wantedOwner(haraka)]
  if (owner !== wanted.uid)
    return warn(
      check,
      `of user ${owner}, while Haraka ${wanted.why} ${wanted.uid}`,
      `chown ${wanted.uid} ${file}`,
    )
  return ok(check, `mode ${octal}`)
}
