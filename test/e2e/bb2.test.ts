// Mail in the IBEmail paper's own format through real gateways: sent only where it is allowed, opened always.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { hishoIni } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import type { Delivery } from '../support/smtp-sink.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const text = (delivery: Delivery | undefined): string => delivery?.message.toString('latin1') ?? ''
const ALLOWED = (port: number) => ({ 'config/hisho.ini': hishoIni(port, 'allow_bb2=true\n') })

describe('a domain that publishes ver=1.0 only', () => {
  let world: World
  before(async () => {
    world = await startWorld({
      schemesB: ['bb2'],
      filesA: ALLOWED,
      plainDomains: ['spy.example'],
      tableA: "  b.example: { encrypt: required }\n  '*': { encrypt: opportunistic }",
    })
    // Its server is a sink: what is sent there stays as it was on the wire.
    world.dns.zone['_ibemailkey.spy.example'] = { TXT: world.keysB.records }
  })
  after(() => world?.close())
  beforeEach(() => {
    world.c.clear()
    world.inboxB.clear()
  })

  it('gets mail in the format of the paper, and opens it, byte for byte', async () => {
    const message = letter('the secret')
    assert.equal((await world.send(message)).code, 250)
    const [delivery] = await world.inboxB.waitFor(1)
    assert.match(text(delivery), /^Hisho-Decrypted: ibe-bb2; n=1; identity="bob"; integrity=ok/m)
    assert.ok(text(delivery).endsWith(message))
  })

  it('on the wire there is a ciphertext for each recipient, and nothing else', async () => {
    const to = ['x@spy.example', 'y@spy.example']
    const message = letter('the secret', { To: to.join(', ') })
    assert.equal((await world.send(message, to)).code, 250)
    const copies = await world.c.waitFor(2)
    for (const copy of copies) {
      assert.match(text(copy), /^Content-Type: application\/ibemail-encrypted/m)
      assert.match(text(copy), /^Subject: encrypted mail\r$/m)
      assert.equal(copy.to.length, 1)
      assert.doesNotMatch(copy.wire.toString('latin1'), /the secret/)
    }
    const bodies = copies.map((copy) => text(copy).split('\r\n\r\n')[1])
    assert.notEqual(bodies[0], bodies[1])
  })

  it('a ciphertext with one bit changed, or for somebody else, is delivered as it came', async () => {
    const to = 'bob@spy.example'
    assert.equal((await world.send(letter('the secret', { To: to }), [to])).code, 250)
    const [sealed] = await world.c.waitFor(1)
    const deliver = async (message: string, recipient: string): Promise<string> => {
      world.inboxB.clear()
      const from = 'x@spy.example'
      const bytes = Buffer.from(message, 'latin1')
      await submit({ port: world.b.port, from, to: [recipient], message: bytes })
      return text((await world.inboxB.waitFor(1))[0])
    }
    const at = text(sealed).length - 30
    const flipped =
      text(sealed).slice(0, at) +
      (text(sealed)[at] === 'A' ? 'B' : 'A') +
      text(sealed).slice(at + 1)
    for (const arrived of [
      await deliver(flipped, 'bob@b.example'),
      await deliver(text(sealed), 'mallory@b.example'),
    ]) {
      assert.match(arrived, /ibemail-encrypted/)
      assert.doesNotMatch(arrived, /the secret|Hisho-Decrypted/)
    }
    assert.match(await deliver(text(sealed), 'bob@b.example'), /here is the secret/)
  })
})

describe('a domain that publishes both', () => {
  it('gets mail in the newer format', async () => {
    const world = await startWorld({ schemesB: ['bf', 'bb2'], filesA: ALLOWED })
    try {
      assert.equal((await world.send(letter('x'))).code, 250)
      assert.match(text((await world.inboxB.waitFor(1))[0]), /^Hisho-Decrypted: ibe-bf; n=1;/m)
    } finally {
      await world.close()
    }
  })
})

describe('where the format is not allowed', () => {
  it('mail that must be encrypted is refused, and other mail goes in clear', async () => {
    const world = await startWorld({
      schemesB: ['bb2'],
      plainDomains: ['old.example'],
      tableA: "  b.example: { encrypt: required }\n  '*': { encrypt: opportunistic }",
    })
    world.dns.zone['_ibemailkey.old.example'] = { TXT: world.keysB.records }
    try {
      assert.equal((await world.send(letter('x'))).code, 550)
      assert.equal((await world.send(letter('y'), ['y@old.example'])).code, 250)
      assert.match(text((await world.c.waitFor(1))[0]), /here is y/)
    } finally {
      await world.close()
    }
  })
})
