// DKIM beside hisho: what is signed and judged is the ciphertext, copy by copy, and the verdict stays above what was opened.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, beforeEach, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { parseFields } from '../../lib/mail/header.ts'
import { fieldsAbove, isCiphertext } from '../support/arrival.ts'
import { startHaraka, type Files } from '../support/haraka.ts'
import { siteFiles } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const run = promisify(execFile)

/** haraka-plugin-dkim asks Node's own resolver: an operator's plugin, as tests need it, that points it to our server. */
function testDns(): Files {
  return {
    'plugins/test_dns.js': `
const dns = require('node:dns')
exports.register = function () {
  const servers = [this.config.get('test_dns')]
  dns.setServers(servers)
  dns.promises.setServers(servers)
}
`,
  }
}

async function makeKey(): Promise<{ readonly privatePem: string; readonly record: string }> {
  const { stdout: privatePem } = await run('openssl', ['genrsa', '2048'])
  const child = run('openssl', ['pkey', '-pubout', '-outform', 'DER'], { encoding: 'buffer' })
  child.child.stdin?.end(privatePem)
  const { stdout } = await child
  return { privatePem, record: `v=DKIM1; k=rsa; p=${stdout.toString('base64')}` }
}

const text = (delivery: Delivery): string => delivery.message.toString('latin1')

/** The names in h= of the DKIM-Signature, if there is just one. */
function signedFields(delivery: Delivery): string[] {
  const end = delivery.message.indexOf('\r\n\r\n') + 2
  const signatures = parseFields(delivery.message.subarray(0, end)).filter(
    (field) => field.name === 'dkim-signature',
  )
  assert.equal(signatures.length, 1, text(delivery))
  const value = Buffer.from(signatures[0]!.raw).toString('latin1').replaceAll(/\s/g, '')
  return /;h=([^;]+)/.exec(value)?.[1]?.toLowerCase().split(':') ?? []
}

describe('DKIM and hisho', () => {
  let world: World

  before(async () => {
    const key = await makeKey()
    world = await startWorld({
      plainDomains: ['spy.example'],
      zone: { 'mail._domainkey.a.example': { TXT: [key.record] } },
      pluginsA: [
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'dkim',
        'hisho/decrypt',
        'hisho/encrypt',
        'queue/smtp_forward',
      ],
      filesA: {
        'config/dkim.ini':
          '[sign]\nenabled=true\nselector=mail\ndomain=a.example\n[verify]\nenabled=false\n',
        'config/dkim.private.key': key.privatePem,
      },
      pluginsB: [
        'test_dns',
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'dkim',
        'hisho/decrypt',
        'hisho/encrypt',
        'queue/smtp_forward',
      ],
      filesB: (dnsPort) => ({ ...testDns(), 'config/test_dns': `127.0.0.1:${dnsPort}\n` }),
    })
    world.dns.zone['_ibemailkey.spy.example'] = { TXT: [world.keysB.record] }
  })
  after(() => world?.close())
  beforeEach(() => {
    world.inboxB.clear()
    world.c.clear()
  })

  const assertPassed = (delivery: Delivery, submitted: string): void => {
    const above = fieldsAbove(delivery.message, Buffer.from(submitted))
    const results = above
      .filter((field) => field.name === 'authentication-results')
      .map((field) => Buffer.from(field.raw).toString('latin1'))
    assert.ok(
      results.some((result) => /mx\.b\.example;[^]*dkim=pass[^]*header\.d=a\.example/.test(result)),
      `${results.join('')}\n${world.b.log().slice(-3000)}`,
    )
  }

  it('one message: the ciphertext is signed, verified, and the verdict stands above what was opened', async () => {
    const message = letter('signed once')
    assert.equal((await world.send(message)).code, 250)
    const [delivery] = await world.inboxB.waitFor(1)
    assert.match(text(delivery!), /^Hisho-Decrypted: ibe-bf/m)
    assert.ok(signedFields(delivery!).includes('from'))
    assertPassed(delivery!, message)
  })

  it('several copies: each is signed for itself and verifies', async () => {
    const message = letter('signed thrice', { To: 'bob@b.example', Cc: 'x@c.example' })
    const to = ['bob@b.example', 'one@b.example', 'two@b.example', 'x@c.example']
    assert.equal((await world.send(message, to)).code, 250)
    const deliveries = await world.inboxB.waitFor(3)
    const signatures = deliveries.map((delivery) => {
      assertPassed(delivery, message)
      return /^DKIM-Signature:[^]*?bh=([^;]+);/m.exec(text(delivery))?.[1]
    })
    assert.equal(new Set(signatures).size, 3, 'each ciphertext has a body hash of its own')
    const [clear] = await world.c.waitFor(1)
    assert.deepEqual(signedFields(clear!).slice(0, 1), ['from'])
    assert.ok(text(clear!).includes('here is signed thrice'))
  })

  it('on the wire the signature covers the outside of the ciphertext, and the plaintext was never signed', async () => {
    const message = letter('under the seal', { To: 'a@spy.example', 'Reply-To': 'r@a.example' })
    await world.send(message, ['a@spy.example', 'b@spy.example'])
    const deliveries = await world.c.waitFor(2)
    for (const delivery of deliveries) {
      assert.ok(isCiphertext(delivery.message))
      const names = signedFields(delivery)
      for (const name of ['from', 'subject', 'content-type', 'mime-version'])
        assert.ok(names.includes(name), `${name} is signed`)
      assert.doesNotMatch(text(delivery), /under the seal/)
    }
    // What b opens has no signature inside: there is one only, outside, and it was made over the ciphertext.
    await world.send(letter('inside'))
    const [opened] = await world.inboxB.waitFor(1)
    const below = text(opened!).slice(text(opened!).indexOf('Hisho-Decrypted'))
    assert.doesNotMatch(below, /^DKIM-Signature/m)
  })

  it('a ciphertext that was changed on its way fails, and the verdict says so', async () => {
    await world.send(letter('x', { To: 'a@spy.example' }), ['a@spy.example'])
    const [sealed] = await world.c.waitFor(1)
    const changed = text(sealed!).replace('Subject: [...]', 'Subject: forged')
    const reply = await submit({
      port: world.b.port,
      from: 'alice@a.example',
      to: ['bob@b.example'],
      message: Buffer.from(changed, 'latin1'),
    })
    assert.equal(reply.code, 250, reply.text)
    const [delivery] = await world.inboxB.waitFor(1)
    assert.match(text(delivery!), /^Authentication-Results: mx\.b\.example;[^]*?dkim=fail/m)
  })

  it('dkim behind hisho/decrypt is a mistake that Haraka does not start with', async () => {
    const files = siteFiles({
      domain: 'b.example',
      keys: world.keysB,
      dnsPort: world.dns.port,
      mailbox: world.inboxB.port,
      routes: {},
      plugins: ['hisho/decrypt', 'dkim', 'hisho/encrypt', 'queue/smtp_forward'],
    })
    await assert.rejects(startHaraka({ files }), /dkim must stand before hisho\/decrypt/)
  })
})
