// A report as it goes out: its name, its mail, and that our own receiver reads it back.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { createPoster, type PosterOptions } from '../../lib/http/post-bytes.ts'
import {
  formatMail,
  makeLetter,
  makeReport,
  type Letter,
  type Submitter,
} from '../../lib/tlsrpt/letter.ts'
import { parseReportText } from '../../lib/tlsrpt/parse-report.ts'
import { findReport } from '../../lib/tlsrpt/received/report-mail.ts'
import { RESULT_TYPES, formatReport, type PolicyReport } from '../../lib/tlsrpt/report.ts'
import { createSender } from '../../lib/tlsrpt/send.ts'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { assertIsReport } from '../support/tlsrpt-schema.ts'

const SUBMITTER: Submitter = {
  organization: 'A "B" Example',
  contact: 'tls@a.example',
  from: 'noreply@a.example',
  id: '0a1b2c3d',
}
const POLICY: PolicyReport = {
  policy: {
    policyType: 'tlsa',
    policyDomain: 'mx.b.example',
    policyStrings: ['3 1 1 AB12'],
    mxHosts: [],
  },
  successfulSessions: 2,
  failedSessions: 1,
  failures: [{ resultType: 'tlsa-invalid', failedSessions: 1, failureReasonCode: 'no match' }],
}
const NOW_MS = Date.UTC(2026, 10, 22, 1, 2, 3)

function letterOf(policies: readonly PolicyReport[] = [POLICY]): Promise<Letter> {
  const report = makeReport('b.example', '2026-11-21', policies, SUBMITTER)
  return makeLetter('b.example', report, SUBMITTER.id)
}

const header = (mail: string): string =>
  mail.slice(0, mail.indexOf('\r\n\r\n')).replaceAll(/\r\n(?=[ \t])/g, '')

describe('a report on its way', () => {
  it('R13 R20: covers one day of UTC, and its id is the same each time it is made', async () => {
    const report = makeReport('b.example', '2026-11-21', [POLICY], SUBMITTER)
    assert.equal(report.reportId, '2026-11-21.b.example.0a1b2c3d@a.example')
    const json = formatReport(report)
    assert.match(json, /"start-datetime":"2026-11-21T00:00:00Z"/)
    assert.match(json, /"end-datetime":"2026-11-21T23:59:59Z"/)
    assert.equal((await letterOf()).json, json)
  })

  it('R24 R25: its file has the name of the standard, and is compressed', async () => {
    const { fileName, compressed, json } = await letterOf()
    assert.equal(fileName, 'a.example!b.example!1795219200!1795305599!0a1b2c3d.json.gz')
    assert.equal(gunzipSync(compressed).toString(), json)
  })

  it('R26 R27 R29: by mail it is a multipart/report with its fields and its subject', async () => {
    const mail = formatMail(await letterOf(), SUBMITTER, 'reports@b.example', NOW_MS, 0)
    const fields = header(mail)
    assert.match(fields, /^From: "A \\"B\\" Example" <noreply@a\.example>$/m)
    assert.match(fields, /^TLS-Report-Domain: b\.example$/m)
    assert.match(fields, /^TLS-Report-Submitter: a\.example$/m)
    assert.match(
      fields,
      /^Subject: Report Domain: b\.example Submitter: a\.example Report-ID: <2026-11-21\.b\.example\.0a1b2c3d@a\.example>$/m,
    )
    assert.match(fields, /^Content-Type: multipart\/report; report-type="tlsrpt"; boundary=/m)
    assert.match(fields, /^Date: Sun, 22 Nov 2026 01:02:03 \+0000$/m)
    const types = [...mail.matchAll(/^Content-Type: ([^;\r]+)/gm)].map(([, type]) => type)
    assert.deepEqual(types, ['multipart/report', 'text/plain', 'application/tlsrpt+gzip'])
    assert.ok(mail.split('\r\n').every((line) => line.length <= 998 && !/[^\x20-\x7e]/.test(line)))
  })

  it('R5: by mail it says that it does not wait for TLS, and that no answer is wanted from programs', async () => {
    const mail = formatMail(await letterOf(), SUBMITTER, 'reports@b.example', NOW_MS, 0)
    assert.match(header(mail), /^TLS-Required: No$/m)
    assert.match(header(mail), /^Auto-Submitted: auto-generated$/m)
  })

  it('names an organisation in any script', async () => {
    const organization = '組織'.repeat(20)
    const mail = formatMail(await letterOf(), { ...SUBMITTER, organization }, 'r@b.example', 0, 0)
    const words = [...header(mail).matchAll(/=\?UTF-8\?B\?([^?]*)\?=/g)].map(
      ([, word = '']) => word,
    )
    assert.equal(words.map((word) => Buffer.from(word, 'base64').toString()).join(''), organization)
    assert.ok(words.every((word) => word.length + 12 <= 75))
  })

  it('R12: is of the standard’s form, and is read back by our own receiver, whatever was counted', async () => {
    const name = fc.stringMatching(/^[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){1,3}$/)
    const text = fc.stringMatching(/^[!-~][ -~]{0,30}[!-~]$/)
    const counted = fc.record({
      policyType: fc.constantFrom('tlsa' as const, 'sts' as const, 'no-policy-found' as const),
      policyDomain: name,
      policyStrings: fc.array(text, { maxLength: 4 }),
      mxHosts: fc.array(name, { maxLength: 3 }),
      successfulSessions: fc.nat(),
      failures: fc.array(
        fc.record({
          resultType: fc.constantFrom(...RESULT_TYPES),
          failedSessions: fc.nat(),
          receivingMxHostname: name,
          receivingIp: fc.ipV4(),
          failureReasonCode: text,
        }),
        { maxLength: 3 },
      ),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(counted, { minLength: 1, maxLength: 4 }), async (all) => {
        const policies = all.map(({ successfulSessions, failures, ...policy }): PolicyReport => ({
          policy,
          successfulSessions,
          failedSessions: failures.reduce((sum, { failedSessions }) => sum + failedSessions, 0),
          failures,
        }))
        const letter = await letterOf(policies)
        assertIsReport(letter.json)
        const mail = formatMail(letter, SUBMITTER, 'r@b.example', NOW_MS, 0)
        const found = findReport(Buffer.from(mail))
        assert.equal(found.status, 'found')
        if (found.status !== 'found') return
        const read = parseReportText(gunzipSync(found.report).toString())
        assert.equal(formatReport(read), letter.json)
      }),
      { numRuns: 50 },
    )
  })
})

describe('sending', () => {
  let authority: Authority
  let server: Server
  let status = 204
  const received: { type: string | undefined; body: Buffer; url: string | undefined }[] = []
  before(async () => {
    authority = makeAuthority()
    const { certificate: cert, privateKey: key } = authority.issue('reports.b.example')
    server = createServer({ cert, key }, (request, response) => {
      const pieces: Buffer[] = []
      request.on('data', (piece: Buffer) => pieces.push(piece))
      request.on('end', () => {
        const { headers, url } = request
        received.push({ type: headers['content-type'], body: Buffer.concat(pieces), url })
        response.writeHead(status, { location: '/elsewhere' }).end()
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(() => {
    server.close()
    authority.close()
  })

  const options = (): PosterOptions => ({
    addressesOf: async () => ['127.0.0.1'],
    timeoutMs: 10_000,
    ca: authority.certificate,
    certificate: 'verified',
    reach: 'any',
  })
  const url = (host = 'reports.b.example'): string =>
    `https://${host}:${(server.address() as AddressInfo).port}/v1?x=1`
  const post = (more: Partial<PosterOptions> = {}, host?: string) =>
    createPoster({ ...options(), ...more })(new URL(url(host)), 'text/x', Buffer.from('bytes'))

  it('R25 R30: posts the compressed report; any 2xx has taken it', async () => {
    const letter = await letterOf()
    const queued: string[] = []
    const send = createSender({
      queueMail: async (from, to) => void queued.push(`${from} ${to}`),
      postBytes: createPoster(options()),
      submitter: SUBMITTER,
      nowMs: () => NOW_MS,
    })
    received.length = 0
    const sent = await send(letter, [
      { kind: 'https', url: url() },
      { kind: 'mail', address: 'r@b.example' },
    ])
    assert.deepEqual(sent, { accepted: [url(), 'mailto:r@b.example'], refused: [] })
    assert.equal(received[0]?.type, 'application/tlsrpt+gzip')
    assert.equal(received[0]?.url, '/v1?x=1')
    assert.equal(gunzipSync(received[0]?.body ?? '').toString(), letter.json)
    assert.deepEqual(queued, ['noreply@a.example r@b.example'])
  })

  it('R11: tries each, and tells who took it and who did not', async () => {
    const send = createSender({
      queueMail: async () => {
        throw new Error('the queue is full')
      },
      postBytes: createPoster(options()),
      submitter: SUBMITTER,
      nowMs: () => NOW_MS,
    })
    const sent = await send(await letterOf(), [
      { kind: 'mail', address: 'r@b.example' },
      { kind: 'https', url: url() },
    ])
    assert.deepEqual(sent.accepted, [url()])
    assert.deepEqual(sent.refused, ['mailto:r@b.example: the queue is full'])
  })

  it('follows no redirect, and takes no for an answer', async () => {
    for (status of [302, 404, 500])
      assert.deepEqual(await post(), { status: 'refused', reason: `status ${status}` })
    status = 204
  })

  it('R7: asks for a good certificate, unless the operator lets it be anybody’s', async () => {
    const wrongName = await post({}, 'other.b.example')
    assert.ok(wrongName.status === 'refused' && /certificate/.test(wrongName.reason))
    const { ca: _, ...unknownAuthority } = options()
    const poster = createPoster(unknownAuthority)
    assert.equal((await poster(new URL(url()), 'text/x', Buffer.of(1))).status, 'refused')
    assert.deepEqual(await post({ certificate: 'any' }, 'other.b.example'), { status: 'accepted' })
  })

  it('R33: goes to no address within our own network, by name or by number', async () => {
    const refused = { status: 'refused' } as const
    const byName = await post({ reach: 'public' })
    assert.deepEqual({ status: byName.status }, refused)
    const byNumber = await post({ reach: 'public' }, '127.0.0.1')
    assert.deepEqual({ status: byNumber.status }, refused)
    assert.equal((await post({ reach: 'public' }, '[::1]')).status, 'refused')
  })

  it('waits for no server for ever, and never rejects', async () => {
    const { createServer: createPlain } = await import('node:net')
    const silent = createPlain().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const poster = createPoster({ ...options(), timeoutMs: 100 })
    const outcome = await poster(new URL(`https://x.example:${port}/`), 'text/x', Buffer.of(1))
    assert.deepEqual(outcome, { status: 'refused', reason: 'no answer in 100 ms' })
    silent.close()
    const none = createPoster({ ...options(), addressesOf: async () => [] })
    assert.equal(
      (await none(new URL('https://x.example/'), 'text/x', Buffer.of(1))).status,
      'refused',
    )
  })
})
