import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { format, inspect } from 'node:util'
import { hkdfSha256 } from '../../lib/crypto/hkdf.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'

describe('secret bytes', () => {
  const make = (): SecretBytes => new SecretBytes(Uint8Array.of(222, 173, 190, 239))

  it('do not print, in whatever way they are shown', () => {
    const secret = make()
    const shown = [
      String(secret),
      JSON.stringify({ secret }),
      inspect(secret),
      inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
      format('%s %o %j', secret, secret, secret),
      new Error('x', { cause: secret }).toString(),
    ]
    for (const text of shown) assert.doesNotMatch(text, /222|173|dead/)
    assert.equal(shown[0], '[secret]')
  })

  it('are zeros after a wipe, and then throw', () => {
    const bytes = Uint8Array.of(1, 2)
    const secret = new SecretBytes(bytes)
    const copy = secret.copy()
    secret.wipe()
    secret.wipe()
    assert.deepEqual(bytes, new Uint8Array(2))
    assert.equal(secret.wiped, true)
    assert.throws(() => secret.bytes, /wiped/)
    assert.deepEqual(copy.bytes, Uint8Array.of(1, 2))
  })

  it('are equal to the same bytes only', () => {
    assert.ok(make().equals(make()))
    assert.ok(!make().equals(new SecretBytes(Uint8Array.of(222, 173, 190, 238))))
    assert.ok(!make().equals(new SecretBytes(Uint8Array.of(222))))
  })
})

describe('HKDF with SHA-256', () => {
  it('gives the bytes of RFC 5869 appendix A.1', () => {
    const info = Buffer.from('f0f1f2f3f4f5f6f7f8f9', 'hex')
    const salt = Buffer.from('000102030405060708090a0b0c', 'hex')
    const okm = hkdfSha256(new Uint8Array(22).fill(0x0b), salt, info, 42)
    const expected =
      '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'
    assert.equal(Buffer.from(okm).toString('hex'), expected)
  })
})
