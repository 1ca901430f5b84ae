// Who gets which copy, on the way out and on the way in.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { submit } from '../support/smtp-client.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const text = (delivery: Delivery): string => delivery.message.toString('latin1')
const isCiphertext = (delivery: Delivery): boolean =>
  /application\/hisho-encrypted/.test(text(delivery))

/** Identities that a ciphertext names, in clear in the age header. */
function namedIn(delivery: Delivery): string[] {
  const base64 = /base64\r\n\r\n([\s\S]*?)\r\n\r\n--/.exec(text(delivery))?.[1] ?? ''
  const header = Buffer.from(base64, 'base64').toString('latin1')
  return [...header.matchAll(/^-> hisho\/bf \d+ (\S+)/gm)].map((match) =>
    Buffer.from(match[1]!, 'base64url').toString(),
  )
}

describe('outgoing copies', () => {
  let world: World
  before(async () => {
    // spy.example publishes the keys of b.example, and its server is a sink: what is sent there stays as it was on the wire.
    world = await startWorld({
      plainDomains: ['spy.example', 'spy2.example', 'never.example'],
      tableA: "  never.example: { encrypt: never }\n  '*': { encrypt: opportunistic }",
    })
    const record = { TXT: [world.keysB.record] }
    world.dns.zone['_ibemailkey.spy.example'] = record
    world.dns.zone['_ibemailkey.spy2.example'] = record
    world.dns.zone['_ibemailkey.never.example'] = record
  })
  after(() => world?.close())
  beforeEach(() => {
    world.c.clear()
    world.inboxA.clear()
    world.inboxB.clear()
  })

  it('mail to a domain that publishes nothing goes as before', async () => {
    const message = letter('nothing hidden', { To: 'x@c.example' })
    assert.equal((await world.send(message, ['x@c.example'])).code, 250)
    const [delivery] = await world.c.waitFor(1)
    assert.ok(text(delivery!).endsWith(message))
  })

  it('mail among our own users goes as before', async () => {
    const message = letter('nothing hidden', { To: 'carol@a.example' })
    // Submitted mail goes to the outbound queue, whose way to a.example is its own mailbox server.
    const reply = await submit({
      port: world.a.port,
      from: 'someone@c.example',
      to: ['carol@a.example'],
      message: Buffer.from(message),
    })
    assert.equal(reply.code, 250)
    const [delivery] = await world.inboxA.waitFor(1)
    assert.ok(text(delivery!).endsWith(message))
  })

  it('encrypt: never is never, whatever the domain publishes', async () => {
    await world.send(letter('open', { To: 'x@never.example' }), ['x@never.example'])
    const [delivery] = await world.c.waitFor(1)
    assert.equal(isCiphertext(delivery!), false)
  })

  it('C21: visible recipients of one domain share a copy; each Bcc recipient has one of their own', async () => {
    const to = ['one@spy.example', 'two@spy.example', 'hidden@spy.example', 'secret@spy.example']
    await world.send(
      letter('x', { To: 'One <one@spy.example>', Cc: 'group: two@spy.example;' }),
      to,
    )
    const deliveries = await world.c.waitFor(3)
    const envelopes = deliveries.map((delivery) => delivery.to.toSorted().join(' ')).toSorted()
    assert.deepEqual(envelopes, [
      'hidden@spy.example',
      'one@spy.example two@spy.example',
      'secret@spy.example',
    ])
    for (const delivery of deliveries) {
      const named = namedIn(delivery).map((identity) => identity.replace(/#.*/, ''))
      assert.deepEqual(
        named.toSorted(),
        delivery.to.toSorted(),
        'a copy names its own recipients and nobody else',
      )
      assert.match(text(delivery), /^Subject: \[\.\.\.\]\r$/m)
    }
  })

  it('each domain has a copy of its own, and those without a key theirs in clear', async () => {
    const message = letter('plain for c', { To: 'a@spy.example, b@spy2.example, c@c.example' })
    await world.send(message, ['a@spy.example', 'b@spy2.example', 'c@c.example'])
    const deliveries = await world.c.waitFor(3)
    for (const delivery of deliveries) {
      assert.equal(delivery.to.length, 1)
      assert.equal(isCiphertext(delivery), delivery.to[0] !== 'c@c.example')
    }
  })

  it('the outside shows nothing but addresses, date, ids and references', async () => {
    const message = letter('x', {
      To: 'a@spy.example',
      References: '<r@x>',
      'In-Reply-To': '<i@x>',
      'Reply-To': 'reply@a.example',
      'X-Mailer': 'm',
      Bcc: 'b@spy.example',
    })
    await world.send(message, ['a@spy.example'])
    const [delivery] = await world.c.waitFor(1)
    const header = text(delivery!).slice(0, text(delivery!).indexOf('\r\n\r\n'))
    const names = [...header.matchAll(/^([A-Za-z-]+):/gm)].map((match) => match[1])
    const expected = [
      'Content-Type',
      'Date',
      'From',
      'In-Reply-To',
      'MIME-Version',
      'Message-ID',
      'References',
      'Subject',
      'To',
    ]
    assert.deepEqual(new Set(names.filter((name) => name !== 'Received')), new Set(expected))
  })

  it('C22: mail that is ciphertext already is not encrypted twice', async () => {
    const pgp =
      'From: alice@a.example\r\nTo: a@spy.example\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\nMessage-ID: <p@a.example>\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/encrypted;\r\n protocol="application/pgp-encrypted"; boundary="x"\r\n\r\n' +
      '--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nabc\r\n-----END PGP MESSAGE-----\r\n\r\n--x--\r\n'
    await world.send(pgp, ['a@spy.example'])
    const [delivery] = await world.c.waitFor(1)
    assert.ok(text(delivery!).endsWith(pgp))
  })

  it('plaintext that only calls itself encrypted is encrypted', async () => {
    const fake =
      'From: alice@a.example\r\nTo: a@spy.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="x"\r\n\r\nnot at all hidden\r\n'
    await world.send(fake, ['a@spy.example'])
    const [delivery] = await world.c.waitFor(1)
    assert.ok(isCiphertext(delivery!))
    assert.doesNotMatch(text(delivery!), /not at all hidden/)
  })

  it('C22: a signed message is encrypted whole, so that its signature holds', async () => {
    const signed =
      'From: alice@a.example\r\nTo: bob@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol="application/pgp-signature"; boundary="x"\r\n\r\n--x\r\n\r\nhi\r\n--x\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--x--\r\n'
    await world.send(signed)
    const [delivery] = await world.inboxB.waitFor(1)
    assert.ok(text(delivery!).endsWith(signed))
    assert.match(
      text(delivery!),
      /^Hisho-Decrypted: ibe-bf; n=1; identity="bob@b\.example#\d{4}-\d\d"; integrity=ok/m,
    )
  })
})

/** Seals a message for the given recipients of b.example by sending it through a to a sink, and gives what was on the wire. */
async function sealed(world: World, message: string, to: readonly string[]): Promise<string> {
  const record = world.dns.zone['_ibemailkey.b.example']!
  world.dns.zone['_ibemailkey.c.example'] = record
  world.c.clear()
  // Same local parts at c.example would be other identities: the envelope says b.example, the route is what we change.
  await world.send(message, to)
  const deliveries = await world.c.waitFor(1)
  return text(deliveries[0]!)
}

for (const [name, options] of [
  ['smtp_forward', {}],
  [
    'lmtp',
    {
      lmtpB: true,
      pluginsB: [
        'auth/flat_file',
        'rcpt_to.in_host_list',
        'hisho/decrypt',
        'hisho/encrypt',
        'queue/lmtp',
      ],
    },
  ],
] as const) {
  describe(`recipient binding on arrival, with ${name}`, () => {
    let world: World
    let ciphertext: string
    before(async () => {
      world = await startWorld({ ...options, filesA: {} })
      // The way from a to b leads over the sink this once.
      const { writeFileSync, readFileSync } = await import('node:fs')
      const file = `${world.a.directory}/config/smtp_forward.ini`
      const ini = readFileSync(file, 'utf8')
      writeFileSync(file, ini.replace(`port=${world.b.port}`, `port=${world.c.port}`))
      await world.a.kill()
      const { startHaraka } = await import('../support/haraka.ts')
      const { siteEnvironment } = await import('../support/site.ts')
      const again = await startHaraka({
        directory: world.a.directory,
        port: world.a.port,
        files: {},
        environment: siteEnvironment(world.keysA),
      })
      world = {
        ...world,
        a: again,
        close: async () => {
          await Promise.all([again.stop(), world.b.stop()])
          await Promise.all([
            world.inboxA.close(),
            world.inboxB.close(),
            world.c.close(),
            world.dns.close(),
          ])
        },
      }
      ciphertext = await sealed(world, letter('for alice only', { To: 'alice@b.example' }), [
        'alice@b.example',
      ])
    })
    after(() => world?.close())
    beforeEach(() => world.inboxB.clear())

    const deliver = (to: readonly string[], message = ciphertext) =>
      submit({
        port: world.b.port,
        from: 'someone@c.example',
        to,
        message: Buffer.from(message, 'latin1'),
      })

    it('alice reads what was sealed for alice', async () => {
      assert.equal((await deliver(['alice@b.example'])).code, 250)
      const [delivery] = await world.inboxB.waitFor(1)
      assert.match(text(delivery!), /here is for alice only/)
    })

    it('sent again to mallory it stays ciphertext', async () => {
      assert.equal((await deliver(['mallory@b.example'])).code, 250)
      const [delivery] = await world.inboxB.waitFor(1)
      assert.ok(isCiphertext(delivery!))
      assert.doesNotMatch(text(delivery!), /Hisho-Decrypted|Ibemail-Decrypted/)
    })

    it("with both as recipients, alice's copy is opened and mallory's is not", async () => {
      const reply = await deliver(['mallory@b.example', 'alice@b.example'])
      assert.equal(reply.code, 250, world.b.log().slice(-1500))
      const deliveries = await world.inboxB.waitFor(2)
      for (const delivery of deliveries) {
        assert.deepEqual(delivery.to.length, 1)
        assert.equal(isCiphertext(delivery), delivery.to[0] === 'mallory@b.example')
      }
    })

    it('forged marks outside do not survive, opened or not', async () => {
      const forged = `Hisho-Decrypted: ibe-bf; n=9; signature=good\r\nIbemail-Decrypted: true\r\nHISHO-Decrypted : x\r\nAuthentication-Results: mx.b.example; spf=pass\r\nReply-To: evil@x.example\r\n${ciphertext}`
      await deliver(['mallory@b.example', 'alice@b.example'], forged)
      for (const delivery of await world.inboxB.waitFor(2)) {
        assert.doesNotMatch(
          text(delivery),
          /signature=good|n=9|^Authentication-Results: mx\.b\.example; spf=pass/im,
        )
        assert.equal(
          text(delivery).match(/^hisho-decrypted/gim)?.length ?? 0,
          delivery.to[0] === 'alice@b.example' ? 1 : 0,
        )
      }
    })

    it('forged marks on mail in clear do not survive', async () => {
      await deliver(
        ['alice@b.example'],
        `Hisho-Decrypted: good\r\nIBEMAIL-decrypted:\r\n true\r\n${letter('clear')}`,
      )
      const [delivery] = await world.inboxB.waitFor(1)
      assert.doesNotMatch(text(delivery!), /hisho-decrypted|ibemail-decrypted/i)
      assert.match(text(delivery!), /here is clear/)
    })

    it('forged marks inside do not survive, and what else the message says of itself stays', async () => {
      const inside = `Hisho-Decrypted: forged\r\nIbemail-Decrypted: forged\r\nAuthentication-Results: mx.b.example; dkim=pass forged\r\nAuthentication-Results: other.example; dkim=pass kept\r\n${letter('inner', { To: 'alice@b.example' })}`
      const wire = await sealed(world, inside, ['alice@b.example'])
      await deliver(['alice@b.example'], wire)
      const [delivery] = await world.inboxB.waitFor(1)
      assert.doesNotMatch(text(delivery!), /forged/)
      assert.match(text(delivery!), /dkim=pass kept/)
      assert.match(text(delivery!), /here is inner/)
    })

    it('a ciphertext that is not the root is left alone', async () => {
      const forwarded = `From: x@c.example\r\nTo: alice@b.example\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\nMessage-ID: <f@c.example>\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n${ciphertext}`
      await deliver(['alice@b.example'], forwarded)
      const [delivery] = await world.inboxB.waitFor(1)
      assert.ok(text(delivery!).endsWith(forwarded))
    })

    it('any damage: delivered as it came, with a line in the log', async () => {
      const at = ciphertext.lastIndexOf('\r\n\r\n--') - 10
      const damaged =
        ciphertext.slice(0, at) + (ciphertext[at] === 'A' ? 'B' : 'A') + ciphertext.slice(at + 1)
      assert.equal((await deliver(['alice@b.example'], damaged)).code, 250)
      const [delivery] = await world.inboxB.waitFor(1)
      assert.ok(isCiphertext(delivery!))
      assert.match(world.b.log(), /not opened, delivered as it came: container\/damaged/)
    })
  })
}
