import assert from 'node:assert/strict'
import { randomBytes, webcrypto } from 'node:crypto'
import { describe, it } from 'node:test'
import { useDirectCrypto } from '../../lib/openpgp/direct-crypto.ts'

type Subtle = webcrypto.SubtleCrypto
type Jwk = webcrypto.JsonWebKey

const direct = webcrypto.subtle
/** What stands behind it. */
const native = new Proxy(direct, {
  get: (target, name) => Reflect.get(Object.getPrototypeOf(target), name).bind(target),
})
useDirectCrypto(direct)

const bytes = (buffer: ArrayBuffer | Uint8Array): Uint8Array =>
  Uint8Array.from(new Uint8Array(buffer))

async function jwksOf(name: 'Ed25519' | 'X25519'): Promise<[Jwk, Jwk]> {
  const pair = await native.generateKey(
    { name },
    true,
    name === 'Ed25519' ? ['sign', 'verify'] : ['deriveBits'],
  )
  if (!('privateKey' in pair)) throw new Error('one key')
  return [
    await native.exportKey('jwk', pair.privateKey),
    await native.exportKey('jwk', pair.publicKey),
  ]
}

describe('curve25519 and AES key wrap, without WebCrypto', () => {
  it('signs as WebCrypto does, and takes its signatures and no others', async () => {
    const [secret, open] = await jwksOf('Ed25519')
    const data = randomBytes(64)
    const signWith = async (subtle: Subtle): Promise<Uint8Array> => {
      const key = await subtle.importKey('jwk', { ...secret }, 'Ed25519', false, ['sign'])
      return bytes(await subtle.sign('Ed25519', key, data))
    }
    const signature = await signWith(direct)
    assert.deepEqual(signature, await signWith(native))
    const key = await direct.importKey('jwk', { ...open }, 'Ed25519', false, ['verify'])
    assert.equal(await direct.verify('Ed25519', key, signature, data), true)
    signature[10]! ^= 1
    assert.equal(await direct.verify('Ed25519', key, signature, data), false)
  })

  it('agrees on the same secret, with fresh keys of both', async () => {
    const [secret, open] = await jwksOf('X25519')
    const agree = async (subtle: Subtle, mine: Jwk, theirs: Jwk): Promise<Uint8Array> => {
      const privateKey = await subtle.importKey('jwk', mine, 'X25519', false, ['deriveBits'])
      const publicKey = await subtle.importKey('jwk', theirs, 'X25519', false, [])
      return bytes(await subtle.deriveBits({ name: 'X25519', public: publicKey }, privateKey, 256))
    }
    const made = await direct.generateKey('X25519', true, ['deriveBits'])
    if (!('privateKey' in made)) throw new Error('one key')
    const fresh = await direct.exportKey('jwk', made.privateKey)
    const shown = await direct.exportKey('jwk', made.publicKey)
    assert.deepEqual(await agree(direct, fresh, open), await agree(native, secret, shown))
  })

  it('C5: a point of small order agrees on nothing', async () => {
    const [secret] = await jwksOf('X25519')
    const point = { kty: 'OKP', crv: 'X25519', x: Buffer.alloc(32).toString('base64url') }
    const privateKey = await direct.importKey('jwk', secret, 'X25519', false, ['deriveBits'])
    const publicKey = await direct.importKey('jwk', point, 'X25519', false, [])
    await assert.rejects(direct.deriveBits({ name: 'X25519', public: publicKey }, privateKey, 256))
  })

  it('RFC 3394 section 4: wraps, and takes nothing that was changed', async () => {
    const hmac = { name: 'HMAC', hash: 'SHA-256' }
    const kek = await direct.importKey(
      'raw',
      Buffer.from('000102030405060708090A0B0C0D0E0F', 'hex'),
      { name: 'AES-KW' },
      false,
      ['wrapKey', 'unwrapKey'],
    )
    const data = Buffer.from('00112233445566778899AABBCCDDEEFF', 'hex')
    const key = await direct.importKey('raw', data, hmac, true, ['sign'])
    const wrapped = bytes(await direct.wrapKey('raw', key, kek, 'AES-KW'))
    const expected = '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'
    assert.equal(Buffer.from(wrapped).toString('hex'), expected)
    const unwrap = () => direct.unwrapKey('raw', wrapped, kek, 'AES-KW', hmac, true, ['sign'])
    assert.deepEqual(bytes(await direct.exportKey('raw', await unwrap())), bytes(data))
    wrapped[3]! ^= 1
    await assert.rejects(unwrap(), { name: 'OperationError' })
  })

  it('all else is for WebCrypto', async () => {
    const data = randomBytes(10)
    assert.deepEqual(await direct.digest('SHA-256', data), await native.digest('SHA-256', data))
    const key = await direct.importKey('raw', randomBytes(32), 'AES-CBC', false, ['encrypt'])
    assert.ok(await native.encrypt({ name: 'AES-CBC', iv: randomBytes(16) }, key, data))
  })
})
