// The JSON of a report against the text of RFC 8460.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatAddress, formatReport, type Report } from '../../lib/tlsrpt/report.ts'
import { assertIsReport } from '../support/tlsrpt-schema.ts'

const REPORT: Report = {
  organizationName: 'A Example',
  contactInfo: 'tls@a.example',
  reportId: '2026-11-21.b.example@a.example',
  beginsAtMs: Date.UTC(2026, 10, 21),
  endsAtMs: Date.UTC(2026, 10, 21, 23, 59, 59),
  policies: [
    {
      policy: {
        policyType: 'sts',
        policyDomain: 'bücher.example',
        policyStrings: ['version: STSv1', 'mode: enforce'],
        mxHosts: ['*.mail.bücher.example'],
      },
      successfulSessions: 5326,
      failedSessions: 3,
      failures: [
        {
          resultType: 'certificate-expired',
          failedSessions: 3,
          sendingMtaIp: '2001:DB8:ABCD:12:0:0:0:1',
          receivingMxHostname: 'mx.bücher.example',
          receivingIp: '::ffff:192.0.2.7',
          failureReasonCode: 'half a pair: \ud83d',
        },
      ],
    },
  ],
}

interface Written {
  readonly policies: readonly {
    readonly policy: Record<string, unknown>
    readonly summary: Record<string, unknown>
    readonly 'failure-details'?: readonly Record<string, unknown>[]
  }[]
}

const written = (report: Report): Written => JSON.parse(formatReport(report)) as Written

describe('a report', () => {
  it('R12: has the members of the standard in their forms, and no other', () => {
    assertIsReport(formatReport(REPORT))
    const altered = (change: (report: Record<string, unknown>) => void): string => {
      const report = JSON.parse(formatReport(REPORT)) as Record<string, unknown>
      change(report)
      return JSON.stringify(report)
    }
    const wrong = [
      altered((report) => delete report['report-id']),
      altered((report) => (report['version'] = 1)),
      altered((report) => (report['policies'] = {})),
      formatReport(REPORT).replace('5326', '"5326"'),
      formatReport(REPORT).replace('certificate-expired', 'certificate-old'),
      formatReport(REPORT).replace('"contact-info"', '"report-id":"x","contact-info"'),
    ]
    for (const text of wrong) assert.throws(() => assertIsReport(text), assert.AssertionError)
  })

  it('R12: has its policies in an array, though there is one', () => {
    assert.equal(written(REPORT).policies.length, 1)
    assert.deepEqual(written({ ...REPORT, policies: [] }).policies, [])
  })

  it('R12: holds no half of a surrogate pair', () => {
    assert.ok(formatReport(REPORT).includes('half a pair: \ufffd'))
    assert.ok(!formatReport(REPORT).includes('ud83d'))
  })

  it('R14 R20: counts in numbers, and has its times in UTC', () => {
    const [policy] = written(REPORT).policies
    assert.deepEqual(policy?.summary, {
      'total-successful-session-count': 5326,
      'total-failure-session-count': 3,
    })
    assert.match(
      formatReport(REPORT),
      /"date-range":\{"start-datetime":"2026-11-21T00:00:00Z","end-datetime":"2026-11-21T23:59:59Z"\}/,
    )
  })

  it('R20: writes IPv6 addresses as RFC 5952 has them, and IPv4 ones as such', () => {
    const [policy] = written(REPORT).policies
    const [failure] = policy?.['failure-details'] ?? []
    assert.equal(failure?.['sending-mta-ip'], '2001:db8:abcd:12::1')
    assert.equal(failure?.['receiving-ip'], '192.0.2.7')
    assert.equal(formatAddress('fe80::1%eth0'), 'fe80::1')
    assert.equal(formatAddress('2001:db8:0:1:1:1:1:1'), '2001:db8:0:1:1:1:1:1')
  })

  it('R21: names domains and hosts as A-labels, the patterns in an array', () => {
    const [policy] = written(REPORT).policies
    assert.equal(policy?.policy['policy-domain'], 'xn--bcher-kva.example')
    assert.deepEqual(policy?.policy['mx-host'], ['*.mail.xn--bcher-kva.example'])
  })
})
