// Reports of others on TLS (RFC 8460), for people and for scripts.
import { explain } from '../tlsrpt/explain.ts'
import type { KeptReport } from '../tlsrpt/received/kept.ts'
import {
  failuresByType,
  type ReceivedPolicy,
  type ReceivedReport,
} from '../tlsrpt/received/report.ts'
import type { FailureDetail } from '../tlsrpt/report.ts'
import { formatTable, type Terminal } from './terminal.ts'

const MAX_ROWS = 10
const WIDTH = 96

export function printReport(terminal: Terminal, report: ReceivedReport): void {
  const { organizationName, contactInfo, reportId, policies, deviations } = report
  terminal.line(`From      ${organizationName}${contactInfo ? ` (${contactInfo})` : ''}`)
  terminal.line(`Report    ${reportId || '(without an id)'}`)
  terminal.line(`Covers    ${rangeOf(report)}`)
  for (const policy of policies) printPolicy(terminal, policy)
  if (deviations.length === 0) return
  terminal.line('\nNot as RFC 8460 has it, and read all the same:')
  for (const deviation of deviations) terminal.line(`  ${deviation}`)
}

function printPolicy(terminal: Terminal, reported: ReceivedPolicy): void {
  const { policy, successfulSessions, failedSessions, failures } = reported
  terminal.line(`\n${policy.policyDomain || '(no domain named)'}   ${policyWords(reported)}`)
  for (const line of policy.policyStrings) terminal.line(`  ${line}`)
  terminal.line(`  ${countWords(terminal, successfulSessions, failedSessions)}`)
  for (const [type, count] of failuresByType(reported)) {
    terminal.line(`\n  ${terminal.paint('red', type)}: ${count}`)
    const rows = failures.filter(({ resultType }) => resultType === type)
    for (const row of rows.slice(0, MAX_ROWS)) terminal.line(`    ${rowWords(row)}`)
    if (rows.length > MAX_ROWS) terminal.line(`    and ${rows.length - MAX_ROWS} more like these`)
    printExplanation(terminal, type, '    ')
  }
}

function printExplanation(terminal: Terminal, type: string, indent: string): void {
  const { cause, nextStep } = explain(type, 'theirs')
  for (const line of wrap(`Likely cause: ${cause}`)) terminal.line(`${indent}${line}`)
  for (const line of wrap(`Next step: ${nextStep}`)) terminal.line(`${indent}${line}`)
}

/** Those that came, and below them once what each kind of failure means. */
export function printKept(terminal: Terminal, all: readonly KeptReport[]): void {
  if (all.length === 0) return terminal.line('no report was received')
  const rows = all.flatMap(({ origin, report }) =>
    report.policies.map((policy) => [
      dayOf(report.beginsAtMs),
      report.organizationName.slice(0, 30),
      policy.policy.policyDomain || '-',
      policy.policy.policyType,
      String(policy.successfulSessions),
      String(policy.failedSessions),
      origin.via === 'https' ? 'https' : origin.dkim.length > 0 ? 'signed' : 'unsigned',
      [...failuresByType(policy)].map(([type, count]) => `${type} ${count}`).join(', '),
    ]),
  )
  terminal.line(
    formatTable(['DAY', 'FROM', 'DOMAIN', 'POLICY', 'GOOD', 'FAILED', 'CAME', 'FAILURES'], rows),
  )
  const types = all.flatMap(({ report }) =>
    report.policies.flatMap((policy) => [...failuresByType(policy).keys()]),
  )
  for (const type of new Set(types)) {
    terminal.line(`\n${terminal.paint('red', type)}`)
    printExplanation(terminal, type, '  ')
  }
}

/** For scripts: the report with names as in RFC 8460 elsewhere, and what each failure means. */
export function describeReport(report: ReceivedReport): object {
  const { beginsAtMs, endsAtMs, policies, ...rest } = report
  return {
    ...rest,
    begins: isoOf(beginsAtMs),
    ends: isoOf(endsAtMs),
    policies: policies.map((policy) => ({
      ...policy,
      explanations: Object.fromEntries(
        [...failuresByType(policy).keys()].map((type) => [type, explain(type, 'theirs')]),
      ),
    })),
  }
}

export function describeKept({ receivedAtMs, origin, report }: KeptReport): object {
  return { received: isoOf(receivedAtMs), ...origin, ...describeReport(report) }
}

function policyWords({ policy: { policyType, policyStrings } }: ReceivedPolicy): string {
  const mode = policyStrings.find((line) => line.toLowerCase().startsWith('mode:'))
  switch (policyType) {
    case 'sts':
      return `MTA-STS${mode === undefined ? '' : `,${mode.slice(5)}`.replace(/, */, ', ')}`
    case 'tlsa':
      return 'DANE'
    case 'no-policy-found':
      return 'no policy: neither MTA-STS nor DANE'
    default:
      return `policy type ${policyType || 'missing'}`
  }
}

function countWords(terminal: Terminal, good: number, failed: number): string {
  if (good + failed === 0) return 'no session'
  const share = ((failed * 100) / (good + failed)).toFixed(
    failed > 0 && failed < good / 100 ? 2 : 0,
  )
  if (failed === 0) return terminal.paint('green', `${good} sessions, all good`)
  return `${good + failed} sessions, ${terminal.paint('red', `${failed} failed (${share} %)`)}`
}

function rowWords(row: FailureDetail): string {
  const { failedSessions, sendingMtaIp, receivingMxHostname, receivingIp, receivingMxHelo } = row
  const ip = receivingIp === undefined ? '' : ` [${receivingIp}]`
  const helo = receivingMxHelo === undefined ? '' : ` that calls itself ${receivingMxHelo}`
  const to = receivingMxHostname ?? (ip === '' ? 'a host that is not named' : '')
  const reason = [row.failureReasonCode, row.additionalInformation].filter(Boolean).join('; ')
  const from = sendingMtaIp === undefined ? '' : `from ${sendingMtaIp} `
  return `${failedSessions}x ${from}to ${to}${ip}${helo}${reason ? `: ${reason}` : ''}`
}

function rangeOf({ beginsAtMs, endsAtMs }: ReceivedReport): string {
  const minute = (ms: number | undefined): string =>
    ms === undefined ? '?' : new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
  return `${minute(beginsAtMs)} to ${minute(endsAtMs)} UTC`
}

function dayOf(ms: number | undefined): string {
  return isoOf(ms)?.slice(0, 10) ?? '-'
}

function isoOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}

function wrap(text: string): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length >= WIDTH) {
      lines.push(line)
      line = `  ${word}`
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
