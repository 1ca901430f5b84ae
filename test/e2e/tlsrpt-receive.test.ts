// Reports on TLS arrive at a gateway, by mail of another gateway and by POST, and `hisho tlsrpt` explains them.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, beforeEach, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { formatReport, type Report } from '../../lib/tlsrpt/report.ts'
import { hisho } from '../cli/site.ts'
import { freePort } from '../support/haraka.ts'
import { submit } from '../support/smtp-client.ts'
import { startWorld, type World } from '../support/world.ts'

const run = promisify(execFile)

const REPORT: Report = {
  organizationName: 'A Example',
  contactInfo: 'tlsrpt@a.example',
  reportId: 'by-mail',
  beginsAtMs: Date.UTC(2026, 10, 20),
  endsAtMs: Date.UTC(2026, 10, 21) - 1000,
  policies: [
    {
      policy: {
        policyType: 'sts',
        policyDomain: 'b.example',
        policyStrings: ['version: STSv1', 'mode: enforce', 'mx: mx.b.example', 'max_age: 86400'],
        mxHosts: ['mx.b.example'],
      },
      successfulSessions: 40,
      failedSessions: 2,
      failures: [
        {
          resultType: 'starttls-not-supported',
          failedSessions: 2,
          sendingMtaIp: '192.0.2.1',
          receivingMxHostname: 'mx.b.example',
          receivingIp: '192.0.2.2',
        },
      ],
    },
  ],
}

const gzipped = (more: Partial<Report> = {}): Buffer =>
  gzipSync(formatReport({ ...REPORT, ...more }))

/** As RFC 8460 section 5.3 has it. */
function mailWith(
  report: Uint8Array,
  to = 'tlsrpt@b.example',
  type = 'application/tlsrpt+gzip',
): Buffer {
  const body = Buffer.from(report).toString('base64').replaceAll(/.{76}/g, '$&\r\n')
  return Buffer.from(
    `From: tlsrpt@a.example\r\nTo: ${to}\r\nSubject: Report Domain: b.example Submitter: a.example Report-ID: <x>\r\n` +
      `Date: Sun, 22 Nov 2026 05:00:00 +0000\r\nMessage-ID: <x@a.example>\r\nTLS-Report-Domain: b.example\r\nTLS-Report-Submitter: a.example\r\n` +
      `MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=tlsrpt; boundary=part\r\n\r\n` +
      `--part\r\nContent-Type: text/plain\r\n\r\nA report for people.\r\n` +
      `--part\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n\r\n${body}\r\n--part--\r\n`,
  )
}

describe('reports on TLS that arrive', () => {
  let world: World
  let http: number
  const ini = (more = ''): string =>
    `[receive]\naddresses=TLSRPT@b.example\nhttp_path=/tlsrpt\n${more}\n[alerts]\nalert_to=ops@c.example\n`

  before(async () => {
    http = await freePort()
    const { stdout: key } = await run('openssl', ['genrsa', '2048'])
    const asking = run('openssl', ['pkey', '-pubout', '-outform', 'DER'], { encoding: 'buffer' })
    asking.child.stdin?.end(key)
    const publicKey = (await asking).stdout.toString('base64')
    world = await startWorld({
      zone: { 'mail._domainkey.a.example': { TXT: [`v=DKIM1; k=rsa; p=${publicKey}`] } },
      pluginsA: [
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'dkim',
        'hisho/encrypt',
        'queue/smtp_forward',
      ],
      filesA: {
        'config/dkim.ini':
          '[sign]\nenabled=true\nselector=mail\ndomain=a.example\n[verify]\nenabled=false\n',
        'config/dkim.private.key': key,
      },
      pluginsB: [
        'test_dns',
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'hisho/tlsrpt', // wherever it stands
        'dkim',
        'hisho/decrypt',
        'queue/smtp_forward',
      ],
      filesB: (dnsPort) => ({
        // haraka-plugin-dkim asks Node's own resolver.
        'plugins/test_dns.js': `exports.register = function () { require('node:dns').promises.setServers(['127.0.0.1:${dnsPort}']) }\n`,
        'config/http.ini': `listen=127.0.0.1:${http}\n`,
        'config/hisho.tlsrpt.ini': ini(),
      }),
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    world.inboxB.clear()
    world.b.forgetLog()
  })

  const show = async (...words: string[]) => {
    const { code, text, stderr } = await hisho([
      '--haraka',
      world.b.directory,
      'tlsrpt',
      'show',
      '--received',
      ...words,
    ])
    assert.ok(code === 0 || code === 1, stderr)
    return text
  }
  const post = (
    body: Uint8Array | string,
    type = 'application/tlsrpt+gzip',
    init: RequestInit = {},
  ) =>
    fetch(`http://127.0.0.1:${http}/tlsrpt`, {
      method: 'POST',
      body: typeof body === 'string' ? body : new Uint8Array(body),
      headers: { 'Content-Type': type },
      ...init,
    })
  const direct = (message: Uint8Array, to: readonly string[] = ['tlsrpt@b.example']) =>
    submit({ port: world.b.port, from: 'tlsrpt@evil.example', to, message })

  it('R26 R32: by mail, encrypted on the way: opened, read, kept, and no longer in anybody’s mailbox', async () => {
    const { code } = await world.send(mailWith(gzipped()), ['tlsrpt@b.example'], 'tlsrpt@a.example')
    assert.equal(code, 250)
    await world.b.waitForLog(
      /report by-mail of A Example received by mail: b\.example \(sts\) 40 good, 2 failed/,
    )
    const text = await show()
    assert.match(
      text,
      /^2026-11-20 +A Example +b\.example +sts +40 +2 +signed +starttls-not-supported 2$/m,
    )
    assert.match(text, /\nstarttls-not-supported\n {2}Likely cause: [^]*Next step: /)
    assert.deepEqual(world.inboxB.deliveries, [])
    await world.b.waitForLog(/TLS to b\.example fails at A Example: 2 of 42 sessions/)
  })

  it('an alert was in the log, and goes to the operator by mail, once', async () => {
    const [alert, ...others] = await world.c.waitFor(1)
    assert.deepEqual([alert?.to, alert?.from, others], [['ops@c.example'], '', []])
    const text = alert!.message.toString('utf8')
    assert.match(text, /^Subject: \[hisho\] TLS to b\.example fails at A Example\r$/m)
    assert.match(text, /^Auto-Submitted: auto-generated\r$/m)
    assert.match(text, /Likely cause: The server did not offer STARTTLS/)
  })

  it('R33: the same report again is known, by whichever way', async () => {
    assert.equal((await direct(mailWith(gzipped()))).code, 250)
    assert.equal((await post(gzipped())).status, 200)
    assert.equal((JSON.parse(await show('--json')) as unknown[]).length, 1)
  })

  it('R30: by POST: JSON and gzip are taken, and asked for by domain and day', async () => {
    const other = { reportId: 'by-post', endsAtMs: Date.UTC(2026, 10, 23) }
    assert.equal((await post(gzipped(other))).status, 201)
    const json = formatReport({ ...REPORT, reportId: 'json', organizationName: 'C Example' })
    assert.equal((await post(json, 'application/tlsrpt+json; charset=utf-8')).status, 201)
    const all = JSON.parse(await show('--json', '--domain', 'b.example')) as {
      via: string
      from: string
      reportId: string
    }[]
    assert.deepEqual(
      new Set(all.map(({ reportId }) => reportId)),
      new Set(['by-mail', 'by-post', 'json']),
    )
    assert.deepEqual(
      [...new Set(all.filter(({ via }) => via === 'https').map(({ from }) => from))],
      ['127.0.0.1'],
    )
    assert.match(await show('--since', '2026-11-22'), /^2026-11-20 +A Example(?![^]*C Example)/m)
    assert.match(await show('--domain', 'c.example'), /no report was received/)
  })

  it('R30: by POST, what is not as it should be is refused in the words of HTTP', async () => {
    assert.equal((await post(gzipped(), 'application/json')).status, 415)
    assert.equal((await post('{"policies":', 'application/tlsrpt+json')).status, 400)
    assert.equal(
      (await post(gzipped({ reportId: 'x' }), 'application/tlsrpt+gzip', { method: 'PUT' })).status,
      405,
    )
    assert.equal((await fetch(`http://127.0.0.1:${http}/tlsrpt`)).status, 405)
    assert.equal((await fetch(`http://127.0.0.1:${http}/tlsrpt/x`)).status, 404)
    // Nobody has asked for hisho/metrics.
    assert.equal((await fetch(`http://127.0.0.1:${http}/metrics`)).status, 404)
    // The answer may come while the rest is still on its way.
    const long = await post(Buffer.alloc(2_200_000), 'application/tlsrpt+gzip').catch(
      () => undefined,
    )
    assert.equal(long?.status ?? 413, 413)
  })

  it('R33: bombs and odd mails harm nothing, and are delivered as what they are', async () => {
    const bomb = gzipSync(Buffer.alloc(80 * 1024 * 1024, 0x20))
    assert.equal((await post(bomb)).status, 400)
    const deep = Array.from({ length: 300 }).reduce<string>(
      (inner, _, at) =>
        `Content-Type: multipart/report; report-type=tlsrpt; boundary=b${at}b\r\n\r\n--b${at}b\r\n${inner}`,
      'x',
    )
    const odd = [
      mailWith(bomb),
      mailWith(Buffer.from('rubbish')),
      mailWith(gzipped({ reportId: 'wrong type' }), 'tlsrpt@b.example', 'application/zip'),
      Buffer.from(`From: a@a.example\r\n${deep}`),
      Buffer.from('From: a@a.example\r\nSubject: hello\r\n\r\nA person writes.\r\n'),
    ]
    for (const message of odd) assert.equal((await direct(message)).code, 250)
    assert.equal((await world.inboxB.waitFor(odd.length)).length, odd.length)
    await world.b.waitForLog(
      /delivered on, the report is not kept: tlsrpt\/malformed: report: gzip/,
    )
    assert.equal((JSON.parse(await show('--json')) as unknown[]).length, 3)
  })

  it('a person beside the address of reports gets the mail, and the address does not', async () => {
    const to = ['bob@b.example', 'tlsrpt@b.example']
    assert.equal((await direct(mailWith(gzipped({ reportId: 'two' })), to)).code, 250)
    const [delivery] = await world.inboxB.waitFor(1)
    assert.deepEqual(delivery?.to, ['bob@b.example'])
    assert.match(await show(), /A Example/)
  })

  it('R33: a client that posts again and again is told to wait', async () => {
    const answers: number[] = []
    for (let at = 0; at < 40; at++)
      answers.push((await post('{}', 'application/tlsrpt+json')).status)
    assert.equal(answers.at(-1), 429)
  })
})
