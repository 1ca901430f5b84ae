import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { parseReport, parseReportText, REPORT_LIMITS } from '../../lib/tlsrpt/parse-report.ts'
import { findReport } from '../../lib/tlsrpt/received/report-mail.ts'
import { failuresByType } from '../../lib/tlsrpt/received/report.ts'
import { formatReport } from '../../lib/tlsrpt/report.ts'
import { readVectors } from '../support/vectors.ts'

interface ReportCase {
  readonly name: string
  readonly source: string
  readonly report: object
  readonly expect: {
    readonly organization: string
    readonly sessions: readonly [number, number]
    readonly deviations: readonly string[]
    readonly begin?: string
    readonly types?: readonly (readonly [string, number])[]
    readonly reasons?: readonly string[]
    readonly mxHosts?: readonly string[]
    readonly policyStrings?: readonly string[]
    readonly domains?: readonly string[]
  }
}

interface MailCase {
  readonly name: string
  readonly lines: readonly string[]
  readonly expect: { readonly organization: string; readonly domain: string }
}

const REPORTS = readVectors<{ cases: readonly ReportCase[] }>('tlsrpt-reports').cases
const MAILS = readVectors<{ cases: readonly MailCase[] }>('tlsrpt-mails').cases

const json = (value: unknown): string => JSON.stringify(value)

/** A report with one policy that is like this. */
function reportWith(policy: object, more: object = {}): string {
  return json({
    'organization-name': 'Sender',
    'date-range': {
      'start-datetime': '2026-11-20T00:00:00Z',
      'end-datetime': '2026-11-20T23:59:59Z',
    },
    'contact-info': 'tls@sender.example',
    'report-id': '1',
    policies: [policy],
    ...more,
  })
}

const POLICY = {
  policy: { 'policy-type': 'sts', 'policy-domain': 'b.example' },
  summary: { 'total-successful-session-count': 1, 'total-failure-session-count': 2 },
}

describe('a report of a real sender', () => {
  for (const { name, report, expect } of REPORTS) {
    it(`is read: ${name}`, async () => {
      const read = await parseReport(gzipSync(json(report)))
      assert.deepEqual(await parseReport(Buffer.from(json(report))), read)
      const [policy] = read.policies
      assert.ok(policy)
      assert.equal(read.organizationName, expect.organization)
      assert.deepEqual([policy.successfulSessions, policy.failedSessions], expect.sessions)
      assert.deepEqual(read.deviations, expect.deviations)
      if (expect.begin) assert.equal(read.beginsAtMs, Date.parse(expect.begin))
      if (expect.types) assert.deepEqual([...failuresByType(policy)], expect.types)
      if (expect.reasons)
        assert.deepEqual(
          policy.failures.map(({ failureReasonCode }) => failureReasonCode),
          expect.reasons,
        )
      if (expect.mxHosts) assert.deepEqual(policy.policy.mxHosts, expect.mxHosts)
      if (expect.policyStrings) assert.deepEqual(policy.policy.policyStrings, expect.policyStrings)
      if (expect.domains)
        assert.deepEqual(
          read.policies.map(({ policy: { policyDomain } }) => policyDomain),
          expect.domains,
        )
      assert.deepEqual(parseReportText(formatReport(read)).policies, read.policies)
    })
  }
})

describe('a report that is not as the standard has it', () => {
  const read = (text: string) => parseReportText(text)

  it('has numbers as strings, a policy-string as one, and a result type of its own', () => {
    const { policies, deviations } = read(
      reportWith({
        policy: {
          'policy-type': 'STS',
          'policy-string': 'version: STSv1\r\nmode: testing',
          'policy-domain': 'B.example.',
        },
        summary: { 'total-successful-session-count': '7', 'total-failure-session-count': ' 2 ' },
        'failure-details': { 'result-type': 'Odd-One', 'failed-session-count': '2' },
      }),
    )
    const [policy] = policies
    assert.deepEqual(policy, {
      policy: {
        policyType: 'sts',
        policyDomain: 'b.example',
        policyStrings: ['version: STSv1', 'mode: testing'],
        mxHosts: [],
      },
      successfulSessions: 7,
      failedSessions: 2,
      failures: [{ resultType: 'odd-one', failedSessions: 2 }],
    })
    assert.ok(deviations.includes('failure-details: no array'))
    assert.ok(deviations.includes('policy-string: no array'))
    assert.ok(deviations.includes('total-successful-session-count: no number'))
  })

  it('begins with a byte order mark', async () => {
    const bytes = Buffer.from(`\uFEFF${reportWith(POLICY)}`)
    assert.equal((await parseReport(bytes)).organizationName, 'Sender')
  })

  it('names a member twice: the last counts', () => {
    assert.equal(read(reportWith(POLICY).replace('{', '{"report-id":"0",')).reportId, '1')
  })

  it('has numbers that are none, and more than there can be', () => {
    for (const [count, expected] of [
      ['-1', 0],
      ['1e999', 1e12],
      ['1.7', 1],
      ['null', 0],
      ['"1e5"', 0],
      ['9007199254740993', 1e12],
      ['{}', 0],
    ] as const) {
      const text = reportWith(POLICY).replace(
        '"total-successful-session-count":1',
        `"total-successful-session-count":${count}`,
      )
      const [policy] = read(text).policies
      assert.equal(policy?.successfulSessions, expected, count)
      assert.equal(policy?.failedSessions, 2)
    }
  })

  it('has dates in other forms', () => {
    for (const [date, expected] of [
      ['2026-11-20T00:00:00+09:00', '2026-11-19T15:00:00Z'],
      ['2026-11-20T00:00:00.000Z', '2026-11-20T00:00:00Z'],
      ['2026-11-20 12:00:00', '2026-11-20T12:00:00Z'],
      ['2026-11-20', '2026-11-20T00:00:00Z'],
      [1795132800, '2026-11-20T00:00:00Z'],
      ['yesterday', undefined],
      ['2026-13-01T00:00:00Z', undefined],
      ['0001-01-01T00:00:00Z', undefined],
      [1e30, undefined],
      [null, undefined],
    ] as const) {
      const text = reportWith(POLICY, { 'date-range': { 'start-datetime': date } })
      assert.equal(read(text).beginsAtMs, expected && Date.parse(expected), String(date))
    }
  })

  it('R33: has nothing in its texts that a terminal would obey', () => {
    const evil = '\u001B]0;x\u0007a\u202Eb\u2028\u0000\u009B31mc\r\nd\u200B'
    const report = read(
      reportWith(
        {
          policy: {
            'policy-type': evil,
            'policy-domain': evil,
            'policy-string': [evil],
            'mx-host': [evil],
          },
          summary: {},
          'failure-details': [
            {
              'result-type': evil,
              'sending-mta-ip': evil,
              'receiving-mx-hostname': evil,
              'additional-information': evil,
              'failure-reason-code': evil,
            },
          ],
        },
        { 'organization-name': evil, 'contact-info': evil, 'report-id': evil },
      ),
    )
    assert.doesNotMatch(json(report), /\\u00|\\[rnbf]|[\p{Cc}\u200B\u2028\u202E]/u)
    assert.match(report.organizationName, /\?a\?b/)
  })

  it('R33: has texts, lists and details of a bounded length', () => {
    const long = 'x'.repeat(100_000)
    const report = read(
      reportWith(
        {
          ...POLICY,
          policy: {
            'policy-type': long,
            'policy-string': Array(5000).fill('mx: a'),
            'mx-host': Array(5000).fill('a'),
          },
          'failure-details': Array.from({ length: 20_000 }, () => ({ 'result-type': 'odd' })),
        },
        { 'organization-name': long },
      ),
    )
    assert.equal(report.organizationName.length, 500)
    assert.deepEqual(
      report.policies.map(({ policy: { policyStrings, mxHosts }, failures }) => [
        policyStrings.length,
        mxHosts.length,
        failures.length,
      ]),
      [[100, 100, 10_000]],
    )
    assert.ok(report.deviations.length <= 20)
  })

  for (const [name, text, reason] of [
    ['is no JSON', '<feedback/>', /it is no JSON/],
    ['is empty', '', /it is no JSON/],
    ['is a list', '[]', /the report: must be an object/],
    ['is null', 'null', /the report: must be an object/],
    ['has no policies', '{"organization-name":"a"}', /policies: must be an array/],
    [
      'has an empty list of them',
      reportWith(POLICY, { policies: [] }),
      /policies: must be an array/,
    ],
    ['says not from whom it is', '{"policies":[{}]}', /organization-name: it is missing/],
    [
      'has its fields from a prototype',
      '{"__proto__":{"organization-name":"a","policies":[{}]}}',
      /policies/,
    ],
    ['has very many objects', `[${'[],'.repeat(60_000)}[]]`, /more than 50000 objects/],
  ] as const) {
    it(`is refused, and the field named: it ${name}`, () => {
      assert.throws(
        () => read(text),
        (error) =>
          error instanceof PermError &&
          error.code === 'tlsrpt/malformed' &&
          reason.test(error.message),
      )
    })
  }
})

describe('gzip', () => {
  const refused = (bytes: Uint8Array, reason: RegExp) =>
    assert.rejects(
      parseReport(bytes),
      (error) => error instanceof PermError && reason.test(error.message),
    )

  it('R33: a bomb is stopped at the limit', async () => {
    await refused(
      gzipSync(Buffer.alloc(60 * 1024 * 1024, 0x20)),
      /gzip: it has more than \d+ bytes unpacked/,
    )
    // Small on the way and no longer than a report may be, but nothing that a report packs to.
    await refused(gzipSync(`${reportWith(POLICY)}${' '.repeat(3_000_000)}`), /gzip: it has more/)
  })

  it('is damaged, or cut off', async () => {
    const whole = gzipSync(reportWith(POLICY))
    await refused(whole.subarray(0, -12), /gzip: damaged/)
    await refused(Buffer.concat([whole.subarray(0, 20), Buffer.alloc(40)]), /gzip: damaged/)
  })

  it('is packed a second time', async () => {
    await refused(gzipSync(gzipSync(reportWith(POLICY))), /no JSON/)
  })

  it('is too long as it came', async () => {
    await refused(Buffer.alloc(REPORT_LIMITS.sizeBytes + 1, 0x20), /it has \d+ bytes, more than/)
  })
})

describe('any bytes', () => {
  it('are a report, or refused with a PermError', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array(),
          fc.uint8Array().map((bytes) => gzipSync(bytes)),
          fc.json().map((text) => Buffer.from(text)),
          fc.jsonValue().map((value) => Buffer.from(reportWith(value as object))),
        ),
        async (bytes) => {
          try {
            const report = await parseReport(bytes)
            assert.deepEqual(parseReportText(formatReport(report)).policies, report.policies)
          } catch (error) {
            assert.ok(error instanceof PermError)
          }
        },
      ),
    )
  })
})

describe('R26 R32: a report in a mail', () => {
  for (const { name, lines, expect } of MAILS) {
    for (const lineEnd of ['\r\n', '\n']) {
      it(`is found: ${name}, lines end in ${json(lineEnd)}`, async () => {
        const found = findReport(Buffer.from(lines.join(lineEnd)))
        assert.ok(found.status === 'found')
        const { organizationName, policies } = await parseReport(found.report)
        assert.deepEqual(
          [organizationName, policies[0]?.policy.policyDomain],
          [expect.organization, expect.domain],
        )
      })
    }
  }

  const base64 = gzipSync(reportWith(POLICY)).toString('base64')
  const PART = `Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}\r\n`
  const multipart = (type: string, ...parts: readonly string[]): string =>
    `Subject: Report Domain: other.example Submitter: other.example\r\nContent-Type: ${type}; boundary=x\r\n\r\n${parts.map((part) => `--x\r\n${part}`).join('')}--x--\r\n`
  const statusOf = (mail: string) => findReport(Buffer.from(mail, 'latin1')).status
  const domainOf = async (mail: string) => {
    const found = findReport(Buffer.from(mail, 'latin1'))
    assert.ok(found.status === 'found')
    return (await parseReport(found.report)).policies[0]?.policy.policyDomain
  }

  it('is the body, whatever subject and file name say', async () => {
    const named = PART.replace('+gzip', '+gzip; name="other.example!other.example!1!2.json.gz"')
    assert.equal(
      await domainOf(multipart('multipart/report; report-type=tlsrpt', named)),
      'b.example',
    )
  })

  it('is the root, or in a multipart of another kind, or below one', async () => {
    assert.equal(await domainOf(PART), 'b.example')
    assert.equal(
      await domainOf(
        multipart('multipart/mixed', 'Content-Type: text/plain\r\n\r\nhello\r\n', PART),
      ),
      'b.example',
    )
    const inner = multipart('multipart/report; report-type=tlsrpt', PART)
      .replaceAll('--x', '--y')
      .replace('boundary=x', 'boundary=y')
    assert.equal(await domainOf(multipart('multipart/mixed', inner)), 'b.example')
  })

  it('is JSON in quoted-printable, or as it is', async () => {
    const text = reportWith(POLICY)
    const quoted = text.replaceAll('=', '=3D').replaceAll('b.example', 'b.=\r\nexam=70le')
    const part = (body: string, encoding: string): string =>
      `Content-Type: application/tlsrpt+json\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n`
    assert.equal(await domainOf(part(quoted, 'Quoted-Printable')), 'b.example')
    assert.equal(await domainOf(part(text, '7bit')), 'b.example')
  })

  it('may be called application/gzip where the root says that it is a report', async () => {
    const loose = PART.replace('application/tlsrpt+gzip', 'application/gzip')
    assert.equal(
      await domainOf(multipart('multipart/report; report-type=tlsrpt', loose)),
      'b.example',
    )
    assert.equal(statusOf(multipart('multipart/mixed', loose)), 'none')
  })

  it('R33: is not looked for without end', () => {
    const deep = Array.from({ length: 200 }).reduce<string>(
      (inner, _, at) =>
        `Content-Type: multipart/mixed; boundary=b${at}b\r\n\r\n--b${at}b\r\n${inner}\r\n--b${at}b--\r\n`,
      PART,
    )
    assert.equal(statusOf(deep), 'none')
    const wide = multipart(
      'multipart/report; report-type=tlsrpt',
      ...Array<string>(5000).fill('\r\nx\r\n'),
      PART,
    )
    assert.equal(statusOf(wide), 'claim')
    assert.equal(
      statusOf(
        multipart('multipart/report; report-type=tlsrpt', 'Content-Type: text/plain\r\n\r\nx\r\n'),
      ),
      'claim',
    )
    assert.equal(
      statusOf(`Content-Type: multipart/mixed; boundary=x\r\n\r\n${'--x\r\n'.repeat(200_000)}`),
      'none',
    )
    assert.equal(statusOf('Subject: hello\r\n\r\nno report\r\n'), 'none')
  })
})
