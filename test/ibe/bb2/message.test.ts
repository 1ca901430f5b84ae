import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, describe, it } from 'node:test'
import { PermError } from '../../../lib/errors.ts'
import { SecretBytes } from '../../../lib/crypto/secret-bytes.ts'
import { publicKeyOf } from '../../../lib/ibe/bb2/parameters.ts'
import { bytesOf, latin1 } from '../../mail/pieces.ts'
import { fromHex, readVectors } from '../../support/vectors.ts'
import {
  nobleExtract,
  nobleGt,
  nobleHash,
  nobleOpenPayload,
  nobleParsePublicKey,
  nobleSeal,
  nobleSealPayload,
} from './noble-bb2.ts'
import { createWorld, open, payloadOf, plaintextOf, seal, withPayload } from './world.ts'

interface Vector {
  readonly name: string
  readonly expect: 'opens' | 'closed'
  readonly master_key: string
  readonly n: number
  readonly recipient: string
  readonly identity_key: string
  readonly message: string
  readonly plaintext?: string
}

const { cases } = readVectors<{ cases: readonly Vector[] }>('bb2-message')

describe('a message of version 1, between two implementations', () => {
  const world = createWorld()
  after(() => world.close())

  for (const { name, expect, master_key, n, recipient, message, plaintext = '' } of cases) {
    it(`vector: ${name}: ${expect}`, async () => {
      const masterKey = new SecretBytes(fromHex(master_key))
      const { parameters } = await world.newKeys('unused.example', n)
      world.vault.set('b.example.com', [{ n, masterKey, parameters }])
      const opening = await open(world, [Buffer.from(message)], [recipient])
      assert.equal(opening.status, expect === 'opens' ? 'opened' : 'closed')
      if (opening.status === 'closed') {
        assert.equal(opening.reason, 'ibe/decrypt: the message does not open')
        return
      }
      assert.deepEqual(opening.addresses, [recipient])
      assert.equal(await plaintextOf(opening), latin1(Buffer.from(plaintext)))
    })
  }

  it('the other opens what we seal', async () => {
    const { masterKey } = await world.newKeys('c.example', 1)
    const text = 'Subject: x\r\n\r\n\xff\x00 body\r\n'
    const sealed = await seal(world, 'carol@c.example', text)
    const identityKey = nobleExtract(masterKey.bytes, 'carol', 12345n)
    const opened = nobleOpenPayload(identityKey, payloadOf(sealed))
    assert.deepEqual(Uint8Array.from(opened), bytesOf(text))
    const other = nobleExtract(masterKey.bytes, 'dave', 12345n)
    assert.throws(() => nobleOpenPayload(other, payloadOf(sealed)))
  })

  it('we open what the other seals', async () => {
    const { parameters } = await world.newKeys('d.example', 1)
    const publicKey = publicKeyOf(parameters)
    const { v } = nobleParsePublicKey(publicKey)
    const message = nobleGt.power(v, 98765n)
    const encapsulation = nobleSeal({ publicKey, localPart: 'alice', s: 54321n, message })
    const [iv, aad] = [randomBytes(12), randomBytes(32)]
    const text = bytesOf('Subject: x\r\n\r\nbody\r\n')
    const payload = nobleSealPayload({ key: nobleHash(message), encapsulation, iv, aad }, text)
    const opening = await open(world, withPayload(cases[0]!.message, payload), ['alice@d.example'])
    assert.equal(await plaintextOf(opening), latin1(text))
  })

  it('an identity key that is none does not open', async () => {
    const identityKey = new SecretBytes(new Uint8Array(96))
    const encapsulation = payloadOf(cases[0]!.message).subarray(0, 448)
    await assert.rejects(
      world.bb2.decapsulate(identityKey, encapsulation),
      (error: unknown) => error instanceof PermError && error.code === 'ibe/decrypt',
    )
  })
})
