// `hisho tlsa`: the TLSA records that a mail server's domain should publish. RFC 7671 section 5, RFC 7672 section 3.1.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { checkDane } from '../dane/check.ts'
import { formatTlsa, tlsaFor } from '../dane/tlsa.ts'
import { usableRecords } from '../dane/usable.ts'
import { resolveAddresses } from '../dns/addresses.ts'
import type { Answer, TlsaRecord } from '../dns/records.ts'
import { PermError, TempError } from '../errors.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { lookAt } from './server-probe.ts'

export interface TlsaOptions {
  readonly port: number | undefined
  /** PEM; undefined: the host is asked. */
  readonly certificateFile: string | undefined
  readonly json: boolean
}

interface Proposal {
  readonly record: TlsaRecord
  readonly names: string
}

interface Published {
  readonly record: TlsaRecord
  readonly matches: boolean
}

const DANE_EE = { usage: 3, selector: 1, matchingType: 1 }
const DANE_TA = { usage: 2, selector: 1, matchingType: 1 }

/** Exit 1: records are published, and none of them is right. */
export async function showTlsa(
  context: Context,
  host: string,
  options: TlsaOptions,
): Promise<ExitCode> {
  const { terminal, clock } = context
  const { certificateFile } = options
  const port = options.port ?? (certificateFile ? 25 : context.settings().delivery.port)
  const chain = certificateFile ? readChain(certificateFile) : await chainOf(context, host, port)
  const nowMs = clock.nowMs()
  const matches = (record: TlsaRecord): boolean => isRight(record, host, chain, nowMs)
  const proposals = proposalsFor(chain, matches)
  const owner = `_${port}._tcp.${host}.`
  const answer = certificateFile ? undefined : await publishedAt(context, owner)
  const published = (answer?.status === 'found' ? answer.records : []).map((record): Published => ({
    record,
    matches: matches(record),
  }))
  if (options.json) {
    terminal.json({
      owner,
      records: proposals.map(({ record, names }) => ({ record: formatTlsa(record), names })),
      ...(answer && {
        published: published.map((one) => ({ ...one, record: formatTlsa(one.record) })),
        authentic: answer.authentic,
      }),
    })
  } else {
    printProposals(context, owner, proposals)
    if (answer) printPublished(context, answer, published)
    printAdvice(context, proposals)
  }
  return published.length > 0 && !published.some((one) => one.matches) ? EXIT.failed : EXIT.ok
}

/** The server's own key; and each issuer that would prove it, as other servers see it. */
function proposalsFor(
  chain: readonly Uint8Array[],
  matches: (record: TlsaRecord) => boolean,
): readonly Proposal[] {
  const [own, ...others] = chain
  if (own === undefined) return []
  const issuers = others
    .map((der) => ({ record: tlsaFor(der, DANE_TA), names: `the issuer ${nameOf(der)}` }))
    .filter(({ record }) => matches(record))
  return [{ record: tlsaFor(own, DANE_EE), names: 'the key of the server itself' }, ...issuers]
}

function isRight(
  record: TlsaRecord,
  host: string,
  chain: readonly Uint8Array[],
  nowMs: number,
): boolean {
  const usable = usableRecords([record])
  const dane = { status: 'usable', baseDomain: host, usable, records: [record] } as const
  return checkDane(dane, { chain, names: [host], nowMs }).status === 'match'
}

function readChain(file: string): readonly Uint8Array[] {
  const pem = readFileSync(file, 'latin1')
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)
  if (!blocks) throw new PermError('dns/malformed', `${file}: there is no certificate (PEM) in it`)
  try {
    return blocks.map((block) => Uint8Array.from(new X509Certificate(block).raw))
  } catch (cause) {
    throw new PermError('dns/malformed', `${file}: a certificate in it cannot be read`, { cause })
  }
}

async function chainOf(
  context: Context,
  host: string,
  port: number,
): Promise<readonly Uint8Array[]> {
  const { resolver } = context.services('without-table')
  const addresses = await resolveAddresses(resolver, host)
  context.terminal.progress(`asking ${host} for its certificate…`)
  const seen = await lookAt(context, { addresses, port, servername: host })
  if (!seen) throw new PermError('crypto/unsupported', `${host} has no address`)
  const { outcome, address } = seen
  if (outcome.status === 'unreached')
    throw new TempError('http/unreachable', `${host} [${address}]: ${outcome.reason}`)
  const { handshake } = outcome
  if (handshake.status === 'failed')
    throw new PermError('crypto/unsupported', `${host} [${address}]: ${handshake.reason}`)
  return handshake.chain
}

async function publishedAt(context: Context, owner: string): Promise<Answer<'TLSA'>> {
  return context.services('without-table').resolver.resolve(owner, 'TLSA')
}

function nameOf(der: Uint8Array): string {
  const { subject } = new X509Certificate(der)
  return subject.replaceAll('\n', ', ').replaceAll(/[^ -~]/g, '?')
}

function printProposals(
  { terminal }: Context,
  owner: string,
  proposals: readonly Proposal[],
): void {
  for (const { record, names } of proposals)
    terminal.line(`${owner} IN TLSA ${formatTlsa(record)}   ${terminal.paint('dim', `; ${names}`)}`)
}

function printPublished(
  { terminal }: Context,
  answer: Answer<'TLSA'>,
  published: readonly Published[],
): void {
  const trust = answer.authentic ? 'signed' : 'NOT SIGNED, or the resolver does not validate'
  terminal.line(`\nPublished now (${trust}):`)
  if (published.length === 0) terminal.line('  nothing')
  for (const { record, matches } of published) {
    const word = matches ? terminal.paint('green', 'right') : terminal.paint('red', 'wrong')
    terminal.line(`  ${word}  ${formatTlsa(record)}`)
  }
}

function printAdvice({ terminal }: Context, proposals: readonly Proposal[]): void {
  const issuer = proposals.length > 1
  terminal.line(`
The first one holds as long as the key stays: renew the certificate with the same key.${
    issuer
      ? '\nThe others hold as long as that issuer stays, and prove the name too. One kind is enough.'
      : ''
  }
To change the key: publish the record of the new one beside the old one, wait for twice the TTL, change the certificate,
and only then take the old record away. The zone must be signed (DNSSEC), and so must that of the MX record.`)
}
