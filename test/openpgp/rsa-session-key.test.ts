import assert from 'node:assert/strict'
import {
  constants,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { STRONG_CIPHERS, WEAK_CIPHERS } from '../../lib/openpgp/library.ts'
import { rsaKeyOf, rsaSessionKey, type RsaNumbers } from '../../lib/openpgp/rsa-session-key.ts'

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const publicKey = createPublicKey(privateKey)

/** As it stands in a PKESK of version 3: the cipher, the key, their sum. */
function sessionKey(cipher: number, key: Uint8Array): Uint8Array {
  const sum = key.reduce((all, byte) => (all + byte) & 0xffff, 0)
  return Buffer.concat([Buffer.from([cipher]), key, Buffer.from([sum >> 8, sum & 255])])
}

function sealed(message: Uint8Array): Uint8Array {
  return publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, message)
}

function sealedRaw(block: Uint8Array): Uint8Array {
  return publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block)
}

const open = (encrypted: Uint8Array, ciphers = STRONG_CIPHERS, version: 3 | 6 = 3) =>
  rsaSessionKey(privateKey, { encrypted, version }, ciphers)

describe('a session key sealed with RSA', () => {
  it('opens, for each size of key', () => {
    for (const [number, name, size] of [
      [9, 'aes256', 32],
      [8, 'aes192', 24],
      [7, 'aes128', 16],
    ] as const) {
      const key = randomBytes(size)
      const found = open(sealed(sessionKey(number, key)))
      assert.deepEqual([Buffer.from(found.data), found.algorithm], [key, name])
      // Of version 6 the cipher stands elsewhere.
      const newer = open(sealed(sessionKey(number, key).subarray(1)), STRONG_CIPHERS, 6)
      assert.deepEqual([Buffer.from(newer.data), newer.algorithm], [key, null])
    }
  })

  it('C5: whatever is wrong with it, there is one, always the same, and nobody can foretell it', () => {
    const key = randomBytes(32)
    const good = Buffer.concat([
      Buffer.from([0, 2]),
      Buffer.alloc(256 - 3 - 35, 7),
      Buffer.from([0]),
      sessionKey(9, key),
    ])
    assert.deepEqual(Buffer.from(open(sealedRaw(good)).data), key)
    const changed = (at: number, to: number): Uint8Array => {
      const block = Buffer.from(good)
      block[at] = to
      return block
    }
    const separator = 256 - 36
    for (const bad of [
      changed(1, 1),
      changed(2, 0),
      changed(separator - 1, 0),
      changed(separator, 1),
      changed(separator + 1, 1), // IDEA
      changed(separator + 1, 7), // of another size
      changed(separator + 1, 2), // triple DES
      changed(separator + 2, key[0]! ^ 1),
      changed(255, good[255]! ^ 1),
    ]) {
      const encrypted = sealedRaw(bad)
      const found = open(encrypted)
      assert.deepEqual([found.data.length, found.algorithm], [32, 'aes256'])
      assert.notDeepEqual(Buffer.from(found.data), key)
      assert.deepEqual(open(encrypted), found)
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.equal(open(bytes).data.length, 32)
      }),
      { numRuns: 30 },
    )
  })

  it('C24: a weak cipher counts only where it may', () => {
    const message = sealed(sessionKey(2, randomBytes(24)))
    assert.equal(open(message).algorithm, 'aes256')
    assert.equal(open(message, [...STRONG_CIPHERS, ...WEAK_CIPHERS]).algorithm, 'tripledes')
  })

  it('the numbers of OpenPGP make the same key', () => {
    const { n, e, d, p, q, qi } = privateKey.export({ format: 'jwk' })
    const bytes = (text = ''): Uint8Array => Buffer.from(text, 'base64url')
    // OpenPGP's first prime is the second here: its inverse is of the other one.
    const numbers: RsaNumbers = {
      n: bytes(n),
      e: bytes(e),
      d: bytes(d),
      p: bytes(q),
      q: bytes(p),
      u: bytes(qi),
    }
    const made = rsaKeyOf(numbers)
    assert.deepEqual(made.export({ format: 'jwk' }), privateKey.export({ format: 'jwk' }))
  })
})
