// A gateway whose keys come from a KGC: its certificate, whether the KGC answers, and whether its keys are the pinned ones.
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { HishoError } from '../../errors.ts'
import type { Pins } from '../../ibe/remote/pins.ts'
import { openKgc } from '../../services/kgc-keys.ts'
import type { KgcSettings } from '../../services/kgc-settings.ts'
import type { Context } from '../context.ts'
import { label } from '../generation-label.ts'
import { surveyKgc, type SurveyRow } from '../kgc-survey.ts'
import { checkPrivate } from './files.ts'
import { fail, ok, reasonOf, warn, type Finding } from './finding.ts'

const DAY_MS = 86_400_000
const SOON_DAYS = 21

/** In place of the vault and of the comparison of records with it. */
export async function checkKgc(
  context: Context,
  settings: KgcSettings,
  domains: readonly string[],
): Promise<Finding[]> {
  const { client, pinFile } = openKgc(settings)
  try {
    const { pins, finding } = await readPins(pinFile.read(), settings.pinFile)
    const findings = await Promise.all(
      domains.map((domain) => checkDomain(context, client, pins, domain)),
    )
    return [
      checkCertificate(context, settings),
      ...checkNoVault(context),
      checkPrivate('kgc key file', settings.privateKeyFile, context.haraka()),
      ...finding,
      ...findings.flat(),
    ]
  } finally {
    client.close()
  }
}

function checkNoVault(context: Context): Finding[] {
  const { vaultFile } = context.settings()
  if (!existsSync(vaultFile)) return []
  const found = `${vaultFile}: master keys are here, though the KGC has them`
  return [warn('vault', found, 'move it to the KGC, and from here, with its passphrase')]
}

function checkCertificate({ clock }: Context, { certificate }: KgcSettings): Finding {
  try {
    const { validTo, subjectAltName = 'no subjectAltName' } = new X509Certificate(certificate)
    const days = Math.floor((Date.parse(validTo) - clock.nowMs()) / DAY_MS)
    const found = `${subjectAltName}, until ${validTo}`
    if (days < 0) return fail('kgc certificate', `${found}: over`, 'have a new one signed')
    return days < SOON_DAYS
      ? warn('kgc certificate', `${found}: ${days} days`, 'have a new one signed, restart Haraka')
      : ok('kgc certificate', found)
  } catch (error) {
    return fail('kgc certificate', reasonOf(error), 'mend [kgc] cert_file of hisho.ini')
  }
}

async function readPins(
  reading: Promise<Pins>,
  file: string,
): Promise<{ readonly pins: Pins; readonly finding: readonly Finding[] }> {
  try {
    return { pins: await reading, finding: [] }
  } catch (error) {
    const finding = fail('kgc pins', reasonOf(error), `mend ${file}, or hisho kgc trust`)
    return { pins: new Map(), finding: [finding] }
  }
}

async function checkDomain(
  context: Context,
  client: Parameters<typeof surveyKgc>[1],
  pins: Pins,
  domain: string,
): Promise<Finding[]> {
  const check = `keys of ${domain}`
  try {
    const { rows } = await surveyKgc(context, client, pins, [domain])
    const bad = rows.flatMap((row, at) => {
      const isNewest = rows[at - 1]?.parameters.scheme !== row.parameters.scheme
      return problemOf(check, row, { isNewest })
    })
    if (bad.length > 0) return bad
    if (rows.length > 0)
      return [ok(check, `${rows.map(({ parameters }) => label(parameters)).join(', ')} as pinned`)]
    const found = 'the KGC has none: nothing sealed for it is opened'
    return [warn(check, found, `on the KGC: hisho kgc new --domain ${domain}`)]
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    const advice =
      error.code === 'kgc/refused' ? 'see [gateways] of hisho.kgc.ini there' : 'mend it; mail waits'
    return [fail(check, reasonOf(error), advice)]
  }
}

function problemOf(
  check: string,
  { parameters, pin, dns }: SurveyRow,
  newest: { readonly isNewest: boolean },
): Finding[] {
  const name = label(parameters)
  if (pin === 'other') {
    const found = `${name} of the KGC is not the one that is pinned: mail under it waits`
    return [fail(check, found, 'find out why; if it is right: hisho kgc trust')]
  }
  if (dns === 'other') {
    const found = `${name} is not what the domain publishes`
    return [fail(check, found, 'find out which is right: hisho params show, on the KGC')]
  }
  if (pin === 'unknown' && dns !== 'same') {
    const found = `${name} is neither pinned nor published yet`
    return [warn(check, found, 'publish it; or hisho kgc trust')]
  }
  if (newest.isNewest && dns === 'unknown')
    return [warn(check, `${name}, the newest, is not published`, 'hisho params show, on the KGC')]
  return []
}
