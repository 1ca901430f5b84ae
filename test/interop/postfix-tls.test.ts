// Postfix as the receiving server: mail that is owed TLS reaches it over TLS that is good enough, or waits. RFC 8461 section 5,
// RFC 7672 section 2.2.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { formatTlsa } from '../../lib/dane/tlsa.ts'
import { certify } from '../support/certificates.ts'
import { record } from '../support/dane-cases.ts'
import type { ZoneEntry } from '../support/dns-server.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import {
  postfixMissing,
  startPostfix,
  type Postfix,
  type PostfixListener,
} from '../support/postfix.ts'
import { RETRY_FILES, RETRY_PLUGIN, retryUntil } from '../support/retry.ts'
import { startSink, type SmtpSink } from '../support/smtp-sink.ts'

/** What the server at `<kind>.p.example` shows. */
const KINDS = ['good', 'plain', 'expired', 'self-signed', 'old', 'dane'] as const
type Kind = (typeof KINDS)[number]
const BAD: readonly (readonly [Kind, string, RegExp])[] = [
  ['plain', 'TLS switched off', /it does not offer STARTTLS/],
  ['expired', 'an expired certificate', /out of date \(CERT_HAS_EXPIRED\)/],
  ['self-signed', 'a self-signed certificate', /nobody we trust vouches/],
  ['old', 'TLS 1.0 and 1.1 alone', /TLS failed: /],
]

const hostOf = (kind: Kind): string => `${kind}.p.example`
const mx = (...hosts: readonly string[]): ZoneEntry => ({
  MX: hosts.map((host, at) => `${at + 1}0 ${host}`),
  ttl: 0,
})

describe('Postfix as the receiving server', { skip: postfixMissing }, () => {
  let world: OutboundWorld
  let postfix: Postfix
  let mailbox: SmtpSink
  const domains = [
    ...BAD.flatMap(([kind]) => [`${kind}.example`, `two-${kind}.example`, `free-${kind}.example`]),
    'good.example',
    'dane.example',
    'dane-other.example',
    'late.example',
  ]

  before(async () => {
    world = await startOutbound({
      hosts: ['mx.unused.example'],
      plugins: ['auth/flat_file', RETRY_PLUGIN, 'hisho/mta_sts', 'hisho/dane'],
      files: () => RETRY_FILES,
    })
    const { authority, port, dns, policies } = world
    const selfSigned = (name: string) =>
      certify(`/CN=${name}`, { extensions: [`subjectAltName=DNS:${name}`] })
    const dane = selfSigned(hostOf('dane'))
    const credentials: Readonly<Record<Kind, PostfixListener['credentials']>> = {
      good: authority.issue(hostOf('good')),
      plain: undefined,
      expired: authority.issue(hostOf('expired'), { days: -1 }),
      'self-signed': selfSigned(hostOf('self-signed')),
      old: authority.issue(hostOf('old')),
      dane,
    }
    const base = world.mta('mx.unused.example').address.replace(/\.\d+\.\d+$/, '.8')
    const listeners = KINDS.map((kind, at) => {
      const address = `${base}.${at + 1}`
      const shown = credentials[kind]
      dns.zone[hostOf(kind)] = { A: [address], authentic: true }
      return {
        address,
        port,
        ...(shown && { credentials: shown }),
        ...(kind === 'old' && { versions: 'old' as const }),
      }
    })
    const tlsaAt = (kind: Kind): string => `_${port}._tcp.${hostOf(kind)}`
    dns.zone[tlsaAt('dane')] = { TLSA: [formatTlsa(record('3 1 1', dane))], authentic: true }
    for (const domain of domains) policies.publish(domain, { mode: 'enforce', mx: ['*.p.example'] })
    for (const [kind] of BAD) {
      dns.zone[`${kind}.example`] = mx(hostOf(kind))
      dns.zone[`two-${kind}.example`] = mx(hostOf(kind), hostOf('good'))
      dns.zone[`free-${kind}.example`] = mx(hostOf(kind))
      delete dns.zone[`_mta-sts.free-${kind}.example`]
    }
    dns.zone['good.example'] = mx(hostOf('good'))
    dns.zone['dane.example'] = { ...mx(hostOf('dane')), authentic: true }
    delete dns.zone['_mta-sts.dane.example']
    dns.zone['gone.p.example'] = { A: [`${base}.99`] }
    dns.zone['late.example'] = mx(hostOf('self-signed'), 'gone.p.example')
    mailbox = await startSink()
    postfix = await startPostfix({
      domain: 'p.example',
      routes: Object.fromEntries(domains.map((domain) => [domain, mailbox.port])),
      listeners,
    })
  })
  after(async () => {
    await Promise.all([world?.close(), postfix?.close(), mailbox?.close()])
  })
  beforeEach(() => {
    world.reset()
    mailbox.clear()
  })

  /** What Postfix wrote of how it came by the mail. */
  async function receivedBy(kind: Kind): Promise<string> {
    const [delivery] = await mailbox.waitFor(1)
    const text = delivery?.message.toString('latin1') ?? ''
    assert.match(text, /the secret of/)
    await postfixSays(new RegExp(`${addressOf(kind)}/smtpd.*client=`))
    return /^Received: from mx\.a\.example .*?\(Postfix\)/ms.exec(text)?.[0] ?? ''
  }
  /** Its log is written by a process of its own. */
  async function postfixSays(pattern: RegExp, from = 0): Promise<string> {
    for (let tries = 0; tries < 200; tries += 1) {
      const said = postfix.log().slice(from)
      if (pattern.test(said)) return said
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`Postfix does not say ${pattern}`)
  }
  const addressOf = (kind: Kind): string => world.dns.zone[hostOf(kind)]?.A?.[0] ?? ''
  async function deferral(domain: string): Promise<string> {
    const pattern = new RegExp(`Temp failing \\S+ for \\d+ seconds: (.*\\b${domain}.*)`)
    await world.haraka.waitForLog(pattern)
    assert.equal(mailbox.deliveries.length, 0)
    assert.doesNotMatch(world.haraka.log(), /bounc/i)
    return pattern.exec(world.haraka.log())?.[1] ?? ''
  }
  async function emptyQueue(domain: string): Promise<void> {
    world.dns.zone[domain] = mx(hostOf('good'))
    await retryUntil(world.haraka, () => mailbox.deliveries.length === 1)
  }

  it('with a good certificate gets the mail over TLS 1.3', async () => {
    await world.send('bob@good.example')
    assert.match(await receivedBy('good'), /using TLSv1\.3 with cipher/)
    await world.haraka.waitForLog(/delivery to good\.example .*TLS, authenticated \(sts success\)/)
  })

  for (const [kind, what, reason] of BAD) {
    it(`S30, S34: with ${what} gets nothing, and the mail waits`, async () => {
      const before = postfix.log().length
      await world.send(`bob@${kind}.example`)
      assert.match(await deferral(`${kind}.example`), reason)
      const said = await postfixSays(
        new RegExp(`${addressOf(kind)}/smtpd.*disconnect from`),
        before,
      )
      assert.doesNotMatch(said, /client=/)
      await emptyQueue(`${kind}.example`)
    })

    it(`S35: with ${what} is left for the next server`, async () => {
      await world.send(`bob@two-${kind}.example`)
      assert.match(await receivedBy('good'), /using TLSv1\.3 with cipher/)
      assert.match(world.haraka.log(), reason)
    })
  }

  it('S38: of TLS 1.0 and 1.1 alone is one that speaks them', async () => {
    assert.match(await versionOf(addressOf('old'), world.port), /^TLSv1(?:\.1)?$/)
  })

  for (const [kind, what] of BAD) {
    it(`S20: with ${what} gets the mail all the same where nothing is promised`, async () => {
      await world.send(`bob@free-${kind}.example`)
      const isOverTls = kind === 'expired' || kind === 'self-signed'
      assert.equal(/using TLSv1\.3/.test(await receivedBy(kind)), isOverTls)
    })
  }

  it('D20: with a self-signed certificate that DNS names gets the mail over TLS', async () => {
    await world.send('bob@dane.example')
    assert.match(await receivedBy('dane'), /using TLSv1\.3 with cipher/)
    await world.haraka.waitForLog(/delivery to dane\.example .*\(dane\).*\(tlsa success\)/)
  })

  it('S35: gets mail from the queue after a restart, of the second server', async () => {
    await world.send('bob@late.example')
    assert.match(await deferral('late.example'), /self-signed\.p\.example: nobody we trust/)
    await world.haraka.kill()
    world.dns.zone['late.example'] = mx(hostOf('self-signed'), hostOf('good'))
    await world.restart()
    await retryUntil(world.haraka, () => mailbox.deliveries.length === 1)
    assert.match(await receivedBy('good'), /using TLSv1\.3 with cipher/)
    assert.match(world.haraka.log(), /self-signed\.p\.example .*certificate-not-trusted/)
  })
})

/** As a client that takes any version. */
async function versionOf(address: string, port: number): Promise<string> {
  const plain = connect(port, address)
  const said = async (): Promise<string> => String(await once(plain, 'data'))
  await said()
  plain.write('EHLO client.test\r\n')
  await said()
  plain.write('STARTTLS\r\n')
  await said()
  const socket: TLSSocket = connectTls({
    socket: plain,
    minVersion: 'TLSv1',
    ciphers: 'ALL:@SECLEVEL=0',
    rejectUnauthorized: false,
  })
  await once(socket, 'secureConnect')
  const version = socket.getProtocol() ?? ''
  socket.destroy()
  return version
}
