import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { collect, assertRefused, opened, sealed, utf8 } from './files.ts'
import { seal } from '../../lib/container/container.ts'
import { scryptIdentity, scryptRecipient } from '../../lib/container/scrypt.ts'
import { decodeBase64, encodeBase64, type Stanza } from '../../lib/container/stanza.ts'
import {
  generateX25519Identity,
  recipientOf,
  x25519Identity,
  x25519Recipient,
} from '../../lib/container/x25519.ts'
import { processorTime } from '../support/processor-time.ts'

describe('X25519', () => {
  it('opens with the identity of the recipient and with no other', async () => {
    const [alice, bob] = [generateX25519Identity(), generateX25519Identity()]
    assert.notEqual(alice.identity, bob.identity)
    const file = await sealed(x25519Recipient(alice.recipient), utf8('to alice'))
    assert.deepEqual(await opened(x25519Identity(alice.identity), [file]), utf8('to alice'))
    await assertRefused(opened(x25519Identity(bob.identity), [file]), 'match')
  })

  it('derives the recipient that the specification prints for its identity', () => {
    assert.equal(
      recipientOf('AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX'),
      'age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj',
    )
  })

  it('refuses keys with a mistake, of another kind or in the wrong case, and does not repeat them', () => {
    const { identity, recipient } = generateX25519Identity()
    const mistake = `${identity.slice(0, -1)}${identity.endsWith('Q') ? 'P' : 'Q'}`
    for (const text of ['', 'age1', mistake, identity.toLowerCase(), recipient, ` ${identity}`]) {
      assert.throws(() => x25519Identity(text), {
        code: 'container/malformed',
        part: 'key',
        message: 'this is not a key that begins with age-secret-key-1',
      })
    }
    for (const text of ['', 'age1', `${recipient}q`, recipient.toUpperCase(), identity]) {
      assert.throws(() => x25519Recipient(text), { code: 'container/malformed', part: 'key' })
    }
  })

  it('refuses a file with one malformed X25519 stanza, even behind one that opens', async () => {
    const { identity, recipient } = generateX25519Identity()
    const bad: Stanza = { type: 'X25519', args: ['AAAA'], body: new Uint8Array(32) }
    const file = await collect(
      seal([x25519Recipient(recipient), { wrap: async () => [bad] }], [utf8('x')]),
    )
    await assertRefused(opened(x25519Identity(identity), [file]), 'header')
  })
})

describe('scrypt', () => {
  it('opens with the passphrase and with no other', async () => {
    const file = await sealed(scryptRecipient(utf8('correct horse'), 10), utf8('secrets'))
    assert.deepEqual(await opened(scryptIdentity(utf8('correct horse')), [file]), utf8('secrets'))
    await assertRefused(opened(scryptIdentity(utf8('correct house')), [file]), 'match')
    await assertRefused(opened(x25519Identity(generateX25519Identity().identity), [file]), 'match')
  })

  it('refuses a work factor above the limit before it does the work', async () => {
    const wrapped = await scryptRecipient(utf8('p'), 1).wrap(new Uint8Array(16))
    const salt = wrapped[0]?.args[0] ?? ''
    for (const workFactor of ['21', '31', '64', '99999999999999999999', '1e1', ' 10', '']) {
      const stanza: Stanza = { type: 'scrypt', args: [salt, workFactor], body: new Uint8Array(32) }
      const took = processorTime()
      await assertRefused(scryptIdentity(utf8('p')).unwrap([stanza]), 'header')
      assert.ok(took() < 1000)
    }
    const file = await sealed(scryptRecipient(utf8('p'), 11), utf8('x'))
    await assertRefused(opened(scryptIdentity(utf8('p'), 10), [file]), 'header')
    assert.deepEqual(await opened(scryptIdentity(utf8('p'), 11), [file]), utf8('x'))
  })

  it('leaves the event loop free while it works', async () => {
    let ticks = 0
    const timer = setInterval(() => ticks++, 1)
    await scryptRecipient(utf8('p'), 15).wrap(new Uint8Array(16))
    clearInterval(timer)
    assert.ok(ticks > 2, `${ticks}`)
  })

  it('refuses to write a work factor that is not one', () => {
    for (const workFactor of [0, 1.5, 21, Number.NaN]) {
      assert.throws(() => scryptRecipient(utf8('p'), workFactor), RangeError)
    }
  })
})

describe('base64 of the header', () => {
  it('gives back any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        assert.deepEqual([...decodeBase64(encodeBase64(bytes))], [...bytes])
      }),
    )
  })

  it('takes one text for the same bytes and no other', () => {
    for (const text of ['QQ==', 'QR', 'Q', 'QQ\n', ' QQ', 'Q-', 'Q_', 'QUFB=', '\u0141Q']) {
      assert.throws(() => decodeBase64(text), { code: 'container/malformed' }, text)
    }
  })

  it('never throws anything but a ContainerError', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          assert.equal(encodeBase64(decodeBase64(text)), text)
        } catch (error) {
          assert.equal((error as Error).name, 'ContainerError')
        }
      }),
    )
  })
})
