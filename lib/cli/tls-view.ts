// What `hisho tls check` found, for people.
import type { DaneOutcome } from '../dane/outcome.ts'
import { formatTlsa } from '../dane/tlsa.ts'
import type { Requirement } from '../delivery/requirement.ts'
import type { StsOutcome } from '../mta-sts/outcome.ts'
import type { Terminal } from './terminal.ts'
import type { HostReport, TlsReport } from './tls-check.ts'

const DNSSEC: Readonly<Record<TlsReport['dnssec'], string>> = {
  validates: 'our resolver validates',
  'does-not-validate': 'our resolver does not validate: DANE cannot be judged from here',
  untrusted: 'our resolver is not trusted: DANE cannot be judged from here',
  unanswered: 'our resolver does not answer',
}

export function printTlsReport(terminal: Terminal, report: TlsReport): void {
  const { domain, order, dnssec, sts, plan, hosts } = report
  const { transport, floor } = order
  terminal.line(`${domain}   (transport: ${transport}, floor: ${floor})`)
  terminal.line(`  DNSSEC   ${DNSSEC[dnssec]}`)
  terminal.line(`  MTA-STS  ${policyWords(sts)}`)
  if (sts.status === 'found') terminal.line(`           mx: ${sts.policy.mx.join(', ')}`)
  if (sts.failure)
    terminal.line(
      `           ${terminal.paint('yellow', sts.failure.resultType)}: ${sts.failure.reason}`,
    )
  for (const host of hosts) printHost(terminal, host)
  for (const { host, resultType, reason } of plan.status === 'refuse' ? [] : plan.skipped)
    terminal.line(
      `\n${host}\n  ${terminal.paint('red', `not used: ${resultType ?? ''} ${reason}`)}`,
    )
  if (plan.status !== 'deliver') terminal.line(`\n${terminal.paint('red', plan.reason)}`)
}

function printHost(terminal: Terminal, report: HostReport): void {
  const { planned, seen, judgement, certificates } = report
  const { host, preference, port, evidence, requirement } = planned
  const forged = evidence.hostIsAuthentic ? '' : ', its MX record is not signed'
  terminal.line(`\n${host}   (preference ${preference}${forged})`)
  terminal.line(`  DANE     ${daneWords(evidence.dane)}`)
  if ('records' in evidence.dane)
    for (const record of evidence.dane.records) terminal.line(`           ${formatTlsa(record)}`)
  terminal.line(`  needed   ${requirementWords(requirement)}`)
  if (!seen || seen.outcome.status === 'unreached') {
    const reason = seen?.outcome.status === 'unreached' ? seen.outcome.reason : 'no address'
    terminal.line(
      `  ${terminal.paint('red', `not reached [${seen?.address ?? ''}]:${port}: ${reason}`)}`,
    )
    return
  }
  const { session, handshake } = seen.outcome
  const tls = session
    ? `${session.protocol} ${session.cipher}${session.offersRequireTls ? ', REQUIRETLS' : ''}`
    : 'no TLS'
  terminal.line(`  seen     [${seen.address}]:${port} ${tls}`)
  for (const { subject, issuer, names, validFrom, validTo } of certificates) {
    terminal.line(
      `           ${subject} by ${issuer}, ${validFrom.slice(0, 10)} to ${validTo.slice(0, 10)}`,
    )
    if (names !== '') terminal.line(terminal.paint('dim', `             ${names}`))
  }
  if (handshake.status === 'done' && handshake.chainError !== undefined)
    terminal.line(`           by the Web PKI: ${handshake.chainError}`)
  for (const { policyType, resultType, reason } of judgement?.results ?? []) {
    const colour = resultType === 'success' ? 'green' : 'red'
    const why = reason === undefined ? '' : `: ${reason}`
    terminal.line(`  ${policyType.padEnd(8)} ${terminal.paint(colour, resultType)}${why}`)
  }
  if (judgement) terminal.line(`  verdict  ${verdictWords(terminal, judgement)}`)
}

function verdictWords(
  terminal: Terminal,
  { verdict, authenticated, reason }: NonNullable<HostReport['judgement']>,
): string {
  switch (verdict) {
    case 'deliver':
      return authenticated
        ? terminal.paint('green', 'mail goes over TLS, and the server proved its name')
        : terminal.paint('yellow', 'mail goes over TLS to whoever answers')
    case 'without-tls':
      return terminal.paint('yellow', `mail goes in clear: ${reason}`)
    case 'next-host':
      return terminal.paint('red', `mail does not go there: ${reason}`)
  }
}

function policyWords(sts: StsOutcome): string {
  if (sts.status === 'none') return 'no policy'
  const { mode, maxAgeSeconds } = sts.policy
  return `${mode}, id ${sts.id}, max_age ${maxAgeSeconds}`
}

function daneWords(dane: DaneOutcome): string {
  switch (dane.status) {
    case 'none':
      return `none: ${dane.reason}`
    case 'failed':
      return `failed: ${dane.reason}`
    case 'unusable':
      return `records at ${dane.baseDomain}, none of which can be used`
    case 'usable':
      return `records at ${dane.baseDomain}`
  }
}

function requirementWords(requirement: Requirement): string {
  switch (requirement.kind) {
    case 'none':
      return 'nothing: switched off'
    case 'opportunistic':
      return 'nothing, TLS is welcome'
    case 'encrypted':
      return 'TLS, to whoever answers'
    case 'webpki':
      return `TLS, and a certificate for ${requirement.name.name}`
    case 'dane':
      return 'TLS, and a certificate that DNS names'
    case 'impossible':
      return requirement.reason
  }
}
