// Parsers of reports on TLS, which anybody may send: JSON, and mails with a report in them.
import { parseReportText } from '../lib/tlsrpt/parse-report.ts'
import { findReport } from '../lib/tlsrpt/received/report-mail.ts'
import type { ReceivedReport } from '../lib/tlsrpt/received/report.ts'
import { formatReport } from '../lib/tlsrpt/report.ts'
import { Mismatch, textTarget, type Target } from './target.ts'

const SEED = JSON.stringify({
  'organization-name': 'A Example',
  'date-range': { 'start-datetime': '2026-11-20T00:00:00Z', 'end-datetime': 1795219199 },
  'contact-info': 'tlsrpt@a.example',
  'report-id': '1',
  policies: [
    {
      policy: {
        'policy-type': 'tlsa',
        'policy-string': ['["3 1 1 00","3 1 1 01"]'],
        'policy-domain': 'MX.b.example.',
        'mx-host': '*.b.example',
      },
      summary: { 'total-successful-session-count': 1, 'total-failure-session-count': '2' },
      'failure-details': [
        {
          'result-type': 'tlsa-invalid',
          'sending-mta-ip': '2001:DB8::0001',
          'failed-session-count': 2,
        },
      ],
    },
  ],
})

const MAIL =
  'Content-Type: multipart/report; report-type=tlsrpt; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n' +
  '--x\r\nContent-Type: application/tlsrpt+json\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{=7D=\r\n}\r\n--x--\r\n'

const UNSAFE = /[\p{Cc}\p{Cf}\u2028\u2029]/u

/** Without what is said of how it was written: that is of the one writing alone. */
function parse(text: string): Omit<ReceivedReport, 'deviations'> {
  const { deviations, ...report } = parseReportText(text)
  for (const word of textsIn([deviations, report]))
    if (UNSAFE.test(word)) throw new Mismatch('a text that a terminal would obey')
  return report
}

function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
}

export const REPORT_TARGETS: readonly Target[] = [
  textTarget('TLS report', {
    parse,
    format: formatReport,
    seeds: [SEED],
    words: [
      '"policies":',
      '"policy":',
      '"failure-details":',
      '"failed-session-count":',
      '{',
      '}',
      '[',
      ']',
      ',',
      'null',
      '1e999',
      '-1',
      '"\\u001b[0m"',
      '"\\ud800"',
      '"__proto__":',
      '\\n',
      '\uFEFF',
    ],
  }),
  textTarget('TLS report in a mail', {
    parse: (text) => findReport(Buffer.from(text)),
    seeds: [MAIL, MAIL.replaceAll('\r\n', '\n')],
    words: [
      '--x',
      '\r\n',
      '\r\n\r\n',
      '--x--',
      'boundary=',
      'multipart/mixed',
      'base64',
      '=',
      ' ',
      '=3D',
    ],
  }),
]
