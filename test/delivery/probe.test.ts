import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { probeServer, type ProbeOutcome, type ProbeTarget } from '../../lib/delivery/probe.ts'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { AUTHORITY, certify, derOf } from '../support/certificates.ts'
import { startMta, type Conduct, type SmtpMta } from '../support/smtp-mta.ts'

const HOST = 'mx.example.com'

describe('a look at a mail server', () => {
  let authority: Authority
  let mta: SmtpMta
  before(async () => {
    authority = makeAuthority()
    mta = await startMta()
  })
  after(async () => {
    await mta?.close()
    authority?.close()
  })

  function look(conduct: Conduct, more: Partial<ProbeTarget> = {}): Promise<ProbeOutcome> {
    mta.forget()
    mta.conduct = { credentials: authority.issue(HOST), ...conduct }
    return probeServer({
      address: mta.address,
      port: mta.port,
      servername: HOST,
      helo: 'client.example.org',
      ca: authority.certificate,
      timeoutMs: 10_000,
      ...more,
    })
  }

  /** What is wrong, as one line. */
  const failure = (outcome: ProbeOutcome): string => {
    if (outcome.status === 'unreached') return `unreached: ${outcome.reason}`
    const { handshake } = outcome
    return handshake.status === 'failed' ? `${handshake.resultType}: ${handshake.reason}` : 'none'
  }

  it('tells the certificate, the version and what is offered', async () => {
    const credentials = authority.issue(HOST)
    const outcome = await look({ credentials, offersRequireTls: true })
    assert.ok(outcome.status === 'answered' && outcome.handshake.status === 'done')
    assert.deepEqual(outcome.offers, ['8BITMIME', 'STARTTLS', 'SIZE'])
    assert.equal(outcome.handshake.chainError, undefined)
    assert.deepEqual(outcome.handshake.chain[0], derOf(credentials.certificate))
    const { protocol, cipher, offers, offersRequireTls } = outcome.session ?? {}
    assert.deepEqual([protocol, offersRequireTls], ['TLSv1.3', true])
    assert.match(cipher ?? '', /^TLS_AES/)
    assert.deepEqual(offers, ['8BITMIME', 'REQUIRETLS', 'SIZE'])
    const [session] = await mta.waitForSessions(1)
    assert.equal(session?.servername, HOST)
    assert.equal(session?.clear, 'EHLO client.example.org\r\nSTARTTLS\r\n')
    assert.equal(session?.secure, 'EHLO client.example.org\r\nQUIT\r\n')
    assert.deepEqual(mta.deliveries, [])
  })

  it('tells the whole chain, in whatever order it was sent', async () => {
    const root = certify('/CN=root', { extensions: AUTHORITY })
    const middle = certify('/CN=middle', { issuer: root, extensions: AUTHORITY })
    const leaf = certify('/CN=x', { issuer: middle })
    const stray = certify('/CN=stray', { extensions: AUTHORITY })
    const certificate = [leaf, stray, root, middle].map((one) => one.certificate).join('')
    const outcome = await look({ credentials: { certificate, privateKey: leaf.privateKey } })
    assert.ok(outcome.status === 'answered' && outcome.handshake.status === 'done')
    const hex = (der: Uint8Array): string => Buffer.from(der).toString('hex')
    const [own, ...others] = outcome.handshake.chain.map(hex)
    assert.equal(own, hex(leaf.der))
    assert.deepEqual(others.toSorted(), [middle.der, root.der, stray.der].map(hex).toSorted())
    assert.equal(outcome.handshake.chainError, 'SELF_SIGNED_CERT_IN_CHAIN')
  })

  it('says what is wrong with a certificate, and looks all the same', async () => {
    const outcome = await look({ credentials: authority.issue(HOST, { days: -1 }) })
    assert.ok(outcome.status === 'answered' && outcome.handshake.status === 'done')
    assert.equal(outcome.handshake.chainError, 'CERT_HAS_EXPIRED')
    assert.equal(outcome.handshake.chain.length > 0, true)
  })

  it('sends no address as a name', async () => {
    await look({}, { servername: '127.0.0.1' })
    assert.deepEqual(
      mta.sessions.map(({ servername }) => servername),
      [undefined],
    )
  })

  const EXPECTED: readonly (readonly [Conduct, RegExp])[] = [
    [{ greeting: '554 no' }, /^unreached: it greets with 554 no$/],
    [{ greeting: 'SSH-2.0-x' }, /^unreached: what it says is no SMTP$/],
    [{ ehlo: '502 what' }, /^starttls-not-supported: it refuses EHLO \(502 what\)$/],
    [{ ehlo: 'hang up' }, /^unreached: it hangs up$/],
    [{ startTls: 'missing' }, /^starttls-not-supported: it does not offer STARTTLS$/],
    [{ startTls: '454 not now' }, /^starttls-not-supported: .*454 not now/],
    [{ startTls: '250 fine' }, /^validation-failure: it answers STARTTLS with 250 fine$/],
    [{ startTls: 'garbage' }, /^validation-failure: ERR_SSL/],
    [{ startTls: 'inject' }, /^validation-failure: it said more in clear/],
    [{ startTls: 'inject a part' }, /^validation-failure: it said more in clear/],
    [{ startTls: 'inject later' }, /^validation-failure: ERR_SSL/],
    [{ startTls: 'hang up' }, /^validation-failure: /],
    [{ startTls: 'hang up within' }, /^validation-failure: /],
    [{ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }, /^validation-failure: .*PROTOCOL_VERSION/],
  ]
  for (const [conduct, expected] of EXPECTED)
    it(`${JSON.stringify(conduct)} is ${expected.source}`, async () => {
      assert.match(failure(await look(conduct)), expected)
    })

  it('ends in time, whoever is silent', async () => {
    const started = performance.now()
    const outcome = await look({ greeting: '220-and so on' }, { timeoutMs: 200 })
    assert.equal(failure(outcome), 'unreached: it takes too long')
    assert.ok(performance.now() - started < 5000)
  })

  it('does not read without end', async () => {
    const outcome = await look({ greeting: `220-${'x'.repeat(70_000)}` })
    assert.match(failure(outcome), /^unreached: it says more/)
  })

  it('says it where nobody listens', async () => {
    const gone = await startMta()
    await gone.close()
    assert.equal(failure(await look({}, { port: gone.port })), 'unreached: ECONNREFUSED')
  })

  it('rejects with the signal’s reason', async () => {
    const controller = new AbortController()
    mta.conduct = { greeting: '220-and so on' }
    const looking = probeServer(
      {
        address: mta.address,
        port: mta.port,
        servername: undefined,
        helo: 'x',
        timeoutMs: 10_000,
      },
      controller.signal,
    )
    const reason = new Error('enough')
    controller.abort(reason)
    await assert.rejects(looking, (error) => error === reason)
  })
})
