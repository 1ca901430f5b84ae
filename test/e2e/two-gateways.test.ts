import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { startHaraka, freePort, type Haraka } from '../support/haraka.ts'
import { makeSite, PASSWORD, siteEnvironment, siteFiles, USER } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import { startSink, type SmtpSink } from '../support/smtp-sink.ts'

describe('two gateways', () => {
  let dns: DnsServer
  let a: Haraka
  let b: Haraka
  let inboxA: SmtpSink
  let inboxB: SmtpSink
  let wire: SmtpSink

  before(async () => {
    const [keysA, keysB] = await Promise.all([makeSite('a.example'), makeSite('b.example')])
    dns = await startDnsServer({
      '_ibemailkey.a.example': { TXT: [keysA.record], ttl: 300 },
      '_ibemailkey.b.example': { TXT: [keysB.record], ttl: 300 },
    })
    ;[inboxA, inboxB, wire] = await Promise.all([startSink(), startSink(), startSink()])
    const portA = await freePort()
    const portB = await freePort()
    const common = { dnsPort: dns.port }
    ;[a, b] = await Promise.all([
      startHaraka({
        port: portA,
        environment: siteEnvironment(keysA),
        files: siteFiles({
          ...common,
          domain: 'a.example',
          keys: keysA,
          mailbox: inboxA.port,
          routes: { 'b.example': portB, 'wire.example': wire.port },
        }),
      }),
      startHaraka({
        port: portB,
        environment: siteEnvironment(keysB),
        files: siteFiles({
          ...common,
          domain: 'b.example',
          keys: keysB,
          mailbox: inboxB.port,
          routes: { 'a.example': portA },
        }),
      }),
    ])
  })

  after(async () => {
    await Promise.all([
      a?.stop(),
      b?.stop(),
      inboxA?.close(),
      inboxB?.close(),
      wire?.close(),
      dns?.close(),
    ])
  })

  it('a message arrives as it was submitted', async () => {
    const message = Buffer.from(
      'From: Alice <alice@a.example>\r\nTo: Bob <bob@b.example>\r\nSubject: hello\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\nMessage-ID: <1@a.example>\r\n\r\nHi Bob,\r\n.dot\r\n..two\r\nbye\r\n',
    )
    const reply = await submit({
      port: a.port,
      from: 'alice@a.example',
      to: ['bob@b.example'],
      message,
      user: USER,
      password: PASSWORD,
    })
    assert.equal(reply.code, 250, reply.text + a.log())
    const [delivery] = await inboxB.waitFor(1).catch((error) => {
      throw new Error(`${error.message}\n${a.log().slice(-3000)}\n=== B\n${b.log().slice(-3000)}`)
    })
    console.log(delivery!.message.toString())
    assert.ok(delivery!.message.toString().endsWith(message.toString()))
  })
})
