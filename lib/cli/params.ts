// `hisho params`: what a domain publishes, and whether it can be used.
import type { AnyParameters } from '../ibe/parameters.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import {
  compareWithVault,
  fetchPublished,
  judge,
  type Difference,
  type PublishedRecord,
} from './published.ts'
import { fingerprintOf, ownRecords } from '../services/own-records.ts'
import { entriesOf } from '../vault/contents.ts'
import { trustSentence, trustStateOf } from './trust-state.ts'
import { openVault } from './vault-session.ts'
import { zoneLine } from './zone-record.ts'

export async function showParameters(
  context: Context,
  domain: string,
  { json }: { readonly json: boolean },
): Promise<void> {
  const { terminal } = context
  const services = context.services('with-table')
  const { records } = await fetchPublished(services, domain)
  const wanted = hasVaultOf(context, domain)
    ? await ownRecords(services.ibe, (await openVault(context)).contents, domain)
    : undefined
  const local = services.table.current().isLocal(domain)
  const trust = local ? undefined : await trustStateOf(services, domain, records)
  if (json) {
    return terminal.json({
      domain,
      records: records.map(describe),
      ...(wanted && { vault: wanted.map(({ text }) => text) }),
      ...(trust && { trust }),
    })
  }
  if (records.length === 0) terminal.line(`${domain} publishes no parameters`)
  for (const record of records) terminal.line(lineOf(record))
  if (trust) terminal.line(`\n${trustSentence(domain, trust)}`)
  if (!wanted) return
  terminal.line(wanted.length === 0 ? '\nThe vault has no master key of it.' : '\nThe vault says:')
  for (const { text } of wanted) terminal.line(`  ${zoneLine(domain, text)}`)
}

/** With a KGC, `hisho doctor` compares. */
function hasVaultOf(context: Context, domain: string): boolean {
  const { table } = context.services('with-table')
  return table.current().isLocal(domain) && context.settings().kgc === undefined
}

function lineOf(record: PublishedRecord): string {
  if (record.kind === 'foreign') return `not ours   ${JSON.stringify(record.text)}`
  if (record.kind === 'broken') return `broken     ${record.reason}: ${JSON.stringify(record.text)}`
  const { text, parameters } = record
  const { scheme, n } = parameters
  const more =
    parameters.version === '2.0' ? `, period ${parameters.period}${expiry(parameters)}` : ''
  return `ver ${parameters.version}    ${scheme} n=${n}${more}\n  fingerprint ${fingerprintOf(parameters)}\n  ${text}`
}

function expiry(parameters: AnyParameters): string {
  return parameters.version === '2.0' && parameters.notAfterSeconds !== undefined
    ? `, until ${new Date(parameters.notAfterSeconds * 1000).toISOString()}`
    : ''
}

function describe(record: PublishedRecord): object {
  if (record.kind !== 'parameters') return record
  const { kind, text, parameters } = record
  const { version, scheme, n } = parameters
  const common = { kind, text, version, scheme, n, fingerprint: fingerprintOf(parameters) }
  if (parameters.version === '1.0') return common
  const { period, notAfterSeconds } = parameters
  return { ...common, period, notAfterSeconds: notAfterSeconds ?? null }
}

/** Exit 0: senders can encrypt to it, and it opens what they send. PermErrors and TempErrors say the rest. */
export async function checkParameters(
  context: Context,
  domain: string,
  { json }: { readonly json: boolean },
): Promise<ExitCode> {
  const { terminal, clock } = context
  const services = context.services('with-table')
  const { records } = await fetchPublished(services, domain)
  const verdict = judge(records, clock)
  const local = services.table.current().isLocal(domain)
  const differences = hasVaultOf(context, domain)
    ? await differencesOf(context, records, domain)
    : []
  const mismatch = differences.some(({ severity }) => severity === 'fail')
  const trust = local ? undefined : await trustStateOf(services, domain, records)
  if (json) {
    const n = verdict.status === 'good' ? verdict.parameters.n : null
    const reasons = verdict.status === 'broken' ? verdict.reasons : []
    terminal.json({
      domain,
      status: verdict.status,
      n,
      reasons,
      local,
      differences,
      ...(trust && { trust }),
    })
  } else {
    terminal.line(sentence(domain, verdict))
    for (const { severity, text } of differences) terminal.line(`${severity}: ${text}`)
    if (trust) terminal.line(trustSentence(domain, trust))
  }
  if (trust?.status === 'changed' || trust?.status === 'vanished') return EXIT.tempFail
  if (verdict.status === 'none') return EXIT.unavailable
  if (verdict.status === 'broken') return EXIT.dataError
  return mismatch ? EXIT.config : EXIT.ok
}

async function differencesOf(
  context: Context,
  records: readonly PublishedRecord[],
  domain: string,
): Promise<Difference[]> {
  const { contents } = await openVault(context)
  return (['bf', 'cc', 'bb2'] as const).flatMap((scheme) =>
    compareWithVault(records, entriesOf(contents, domain, scheme), context.clock, scheme),
  )
}

function sentence(domain: string, verdict: ReturnType<typeof judge>): string {
  switch (verdict.status) {
    case 'good':
      return `${domain}: good, senders use n=${verdict.parameters.n}`
    case 'none':
      return `${domain} publishes no parameters`
    case 'broken':
      return `${domain}: no sender can use what it publishes: ${verdict.reasons.join('; ')}`
  }
}
