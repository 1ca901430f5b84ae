// A third site with Postfix, which knows nothing of encryption: its mail passes, and ciphertext passes through it.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { assertOpened, assertUntouched, isCiphertext } from '../support/arrival.ts'
import { freePort } from '../support/haraka.ts'
import { postfixMissing, startPostfix, type Postfix } from '../support/postfix.ts'
import { submit } from '../support/smtp-client.ts'
import { startSink, type SmtpSink } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const EIGHT_BIT =
  'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit'

/** What servers on the way like to change. */
const MESSAGES: Readonly<Record<string, string>> = {
  'a plain letter': letter('plain'),
  'dots at the start of lines': `${letter('dots')}.\r\n..\r\n...\r\n.a\r\n`,
  '8-bit text': letter('8 bit', {}).replace('\r\n\r\n', `\r\n${EIGHT_BIT}\r\n\r\nÄÖÜ 日本語\r\n`),
  'lines of 998 characters': `${letter('long')}${'x'.repeat(998)}\r\n.${'y'.repeat(997)}\r\n`,
  'blank lines at the end, and blanks at the end of lines': `${letter('blanks')}a \t\r\n \r\n\r\n\r\n`,
}

describe('a third site with Postfix', { skip: postfixMissing }, () => {
  let world: World
  let postfix: Postfix
  let mailboxP: SmtpSink

  before(async () => {
    const [a, b, p] = [await freePort(), await freePort(), await freePort()]
    mailboxP = await startSink()
    postfix = await startPostfix({
      domain: 'p.example',
      port: p,
      routes: {
        'p.example': mailboxP.port,
        'q.example': mailboxP.port,
        'a.example': a,
        'b.example': b,
      },
    })
    // For a.example Postfix is the way to p.example, and the smarthost on the way to b.example.
    world = await startWorld({
      ports: { a, b },
      routesA: { 'p.example': p, 'q.example': p, 'b.example': p },
      routesB: { 'p.example': p, 'a.example': p },
    })
  })
  after(async () => {
    await Promise.all([world?.close(), postfix?.close(), mailboxP?.close()])
  })
  beforeEach(() => {
    for (const sink of [world.inboxA, world.inboxB, mailboxP]) sink.clear()
  })

  for (const [name, text] of Object.entries(MESSAGES)) {
    const message = Buffer.from(text)

    it(`its mail reaches a user of a.example untouched: ${name}`, async () => {
      const reply = await submit({
        port: postfix.port,
        from: 'paul@p.example',
        to: ['alice@a.example'],
        message,
      })
      assert.equal(reply.code, 250, reply.text)
      const [delivery] = await world.inboxA.waitFor(1)
      assertUntouched(delivery!.message, message)
    })

    it(`a user of a.example writes to it in clear, untouched: ${name}`, async () => {
      const reply = await world.send(message, ['paul@p.example'])
      assert.equal(reply.code, 250, reply.text)
      const [delivery] = await mailboxP.waitFor(1)
      assertUntouched(delivery!.message, message)
    })

    it(`ciphertext passes through it and opens to the very bytes: ${name}`, async () => {
      const reply = await world.send(message)
      assert.equal(reply.code, 250, reply.text)
      const [delivery] = await world.inboxB.waitFor(1)
      assertOpened(delivery!.message, message)
      assert.match(delivery!.message.toString('latin1'), /^Received: .*\(Postfix\)/ms)
    })
  }

  it('a message to both kinds of sites is in clear for the one and encrypted for the other', async () => {
    const message = Buffer.from(letter('to both', { To: 'bob@b.example, paul@p.example' }))
    assert.equal((await world.send(message, ['bob@b.example', 'paul@p.example'])).code, 250)
    const [[opened], [clear]] = await Promise.all([world.inboxB.waitFor(1), mailboxP.waitFor(1)])
    assertOpened(opened!.message, message)
    assertUntouched(clear!.message, message)
  })

  it('a ciphertext that nobody opens behind it is delivered as one', async () => {
    world.dns.zone['_ibemailkey.q.example'] = { TXT: [world.keysB.record] }
    await world.send(letter('sealed', { To: 'peter@q.example' }), ['peter@q.example'])
    const [delivery] = await mailboxP.waitFor(1)
    assert.ok(isCiphertext(delivery!.message))
    assert.doesNotMatch(delivery!.message.toString('latin1'), /sealed/)
  })
})
