import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { readMessage, collect } from '../../lib/mail/message.ts'
import { EXEMPTIONS, exemptionOf } from '../../lib/protection/exemption.ts'

const TO = 'bob@b.example'

async function kindOf(text: string, sender = '', recipient = TO): Promise<string | undefined> {
  const message = await readMessage([Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1')])
  return exemptionOf(
    { fields: message.fields, start: await collect(message.body), sender },
    recipient,
  )
}

const report = (type: string, parts: readonly string[], more = ''): string =>
  `From: MAILER-DAEMON@a.example\n${more}Content-Type: multipart/report; report-type=${type}; boundary="b"\n\n` +
  `${parts.map((part) => `--b\nContent-Type: ${part}\n\nx: y\n`).join('')}--b--\n`
const DSN = ['text/plain', 'message/delivery-status', 'text/rfc822-headers']
const TLS = 'TLS-Report-Domain: b.example\nTLS-Report-Submitter: a.example\n'
const DMARC =
  'Subject: Report Domain: b.example Submitter: a.example Report-ID: <1@a.example>\nContent-Type: application/gzip; name="a.example!b.example!1700000000!1700086400.xml.gz"\n\nH4sI\n'
const setup = (to: string): string =>
  `From: alice@a.example\nTo: ${to}\nAutocrypt-Setup-Message: v1\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/plain\n\nhow\n--b\nContent-Type: application/autocrypt-setup\n\nx\n--b--\n`

describe('mail of machines', () => {
  for (const [what, text, sender, recipient, expected] of [
    ['a DSN', report('delivery-status', DSN), '', TO, 'dsn'],
    ['a DSN of two parts', report('delivery-status', DSN.slice(0, 2)), '', TO, 'dsn'],
    [
      'an MDN',
      report('disposition-notification', ['text/plain', 'message/disposition-notification']),
      '',
      TO,
      'mdn',
    ],
    [
      'a TLS report',
      report('tlsrpt', ['text/plain', 'application/tlsrpt+gzip'], TLS),
      'r@a.example',
      TO,
      'tlsrpt',
    ],
    ['a DMARC report', DMARC, 'r@a.example', TO, 'dmarc'],
    [
      'an Autocrypt Setup Message',
      setup('alice@a.example'),
      'alice@a.example',
      'alice@a.example',
      'autocrypt_setup',
    ],
    [
      'a subscription',
      'Subject: hi\n\nsubscribe\n\n',
      'alice@a.example',
      'list-request@b.example',
      'list_control',
    ],
    [
      'a confirmation',
      '\nconfirm 123abc\n',
      'alice@a.example',
      'list+confirm+123abc@b.example',
      'list_control',
    ],
  ] as const)
    it(`C22: ${what} is one`, async () =>
      assert.equal(await kindOf(text, sender, recipient), expected))

  for (const [what, text, sender, recipient] of [
    ['a DSN from somebody', report('delivery-status', DSN), 'alice@a.example', TO],
    [
      'a DSN that brings the content back',
      report('delivery-status', [...DSN.slice(0, 2), 'message/rfc822']),
      '',
      TO,
    ],
    ['a DSN with a part more', report('delivery-status', [...DSN, 'text/plain']), '', TO],
    ['a DSN without its status', report('delivery-status', ['text/plain', 'text/plain']), '', TO],
    ['a DSN that does not end', report('delivery-status', DSN).replace('--b--', ''), '', TO],
    ['a report of another type', report('feedback-report', DSN), '', TO],
    [
      'what only calls itself a DSN',
      'Content-Type: multipart/report; report-type=delivery-status\n\nsecret\n',
      '',
      TO,
    ],
    [
      'a TLS report without its fields',
      report('tlsrpt', ['text/plain', 'application/tlsrpt+gzip']),
      '',
      TO,
    ],
    ['a DMARC subject above a letter', DMARC.replace(/Content-Type.*\n/, ''), '', TO],
    ['a DMARC file below a subject', DMARC.replace('Report Domain', 'My report'), '', TO],
    ['an Autocrypt Setup Message for somebody else', setup('bob@b.example'), 'alice@a.example', TO],
    ['a letter to a list', '\nsubscribe\n', 'alice@a.example', 'list@b.example'],
    [
      'a letter to -request',
      '\nsubscribe\nand by the way\n',
      'alice@a.example',
      'list-request@b.example',
    ],
    [
      'a long one to -request',
      `\n${'help\n'.repeat(200)}`,
      'alice@a.example',
      'list-request@b.example',
    ],
    ['a letter', 'Subject: hi\n\nhello\n', 'alice@a.example', TO],
  ] as const)
    it(`C22: ${what} is none`, async () =>
      assert.equal(await kindOf(text, sender, recipient), undefined))

  it('any bytes have an answer', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 300 }), fc.string(), async (text, recipient) => {
        const kind = await kindOf(report('delivery-status', [text]), '', recipient)
        assert.ok(kind === undefined || EXEMPTIONS.some((one) => one === kind))
      }),
    )
  })
})
