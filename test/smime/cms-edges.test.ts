// Edge cases of the ciphers, in the very functions that CMS messages go through. Their kinds are those of Project Wycheproof
// (AES-GCM, AES-KW, RSA-OAEP, RSA PKCS #1 v1.5, ECDH); the values are made here, since no package has its files. In place of
// HKDF stands the key derivation of X9.63, which is the one of CMS.
import assert from 'node:assert/strict'
import {
  constants,
  createCipheriv,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  publicEncrypt,
  randomBytes,
  type KeyObject,
} from 'node:crypto'
import { describe, it } from 'node:test'
import { p256, p384, p521 } from '@noble/curves/nist.js'
import { sha1 } from '@noble/hashes/legacy.js'
import { sha224, sha256, sha384, sha512 } from '@noble/hashes/sha2.js'
import {
  CONTENT_CIPHERS,
  CURVES,
  KEY_WRAPS,
  type Curve,
  type GcmCipher,
  type Hash,
} from '../../lib/smime/cms/algorithm.ts'
import { decryptContent } from '../../lib/smime/cms/content.ts'
import { pointOf, unwrapKey, wrapKey, x963Kdf } from '../../lib/smime/cms/key-agreement.ts'
import { openTransportedKey, type Oaep } from '../../lib/smime/cms/rsa-transport.ts'
import { smimeKey } from '../support/smime-keys.ts'
import { fromHex, readVectors, toHex } from '../support/vectors.ts'

type Sealed = Parameters<typeof decryptContent>[0] & { readonly pieces: readonly Uint8Array[] }

describe('AES-GCM', () => {
  const ciphers = Object.values(CONTENT_CIPHERS).filter(({ mode }) => mode === 'gcm')
  for (const cipher of ciphers) {
    const key = randomBytes(cipher.keyBytes)
    const seal = (iv: Uint8Array, additional: Uint8Array, plain: Uint8Array) => {
      const sealing = createCipheriv(cipher.name as GcmCipher, key, iv).setAAD(additional)
      const pieces = [sealing.update(plain), sealing.final()]
      return {
        iv,
        pieces,
        authentication: { tag: sealing.getAuthTag(), additionalData: additional },
      }
    }
    const open = (sealed: Omit<Sealed, 'cipher'>): string | undefined => {
      const { pieces, ...terms } = sealed
      const found = decryptContent({ cipher, ...terms }, Buffer.concat(pieces), key)
      return found && toHex(found)
    }

    it(`${cipher.name}: nonces from 1 to 128 octets, with and without additional data, of all sizes`, () => {
      for (const ivBytes of [1, 8, 11, 12, 13, 16, 32, 64, 128])
        for (const bytes of [0, 1, 15, 16, 17, 64, 255])
          for (const additional of [0, 1, 20]) {
            const plain = randomBytes(bytes)
            const sealed = seal(randomBytes(ivBytes), randomBytes(additional), plain)
            assert.equal(open(sealed), toHex(plain))
          }
    })

    it(`${cipher.name}: no tag but its own opens: each bit, all zeros, all ones, cut, none`, () => {
      const sealed = seal(randomBytes(12), randomBytes(3), randomBytes(40))
      const { tag, additionalData } = sealed.authentication
      const others = [
        ...Array.from({ length: 128 }, (_, bit) => flipped(tag, bit)),
        new Uint8Array(16),
        new Uint8Array(16).fill(255),
        tag.map((octet) => octet ^ 255),
        tag.map((octet) => octet ^ 128),
        tag.toReversed(),
        new Uint8Array(0),
      ]
      for (const other of others)
        assert.equal(open({ ...sealed, authentication: { tag: other, additionalData } }), undefined)
      const other = { tag, additionalData: flipped(additionalData, 5) }
      assert.equal(open({ ...sealed, authentication: other }), undefined)
      assert.equal(open({ ...sealed, iv: flipped(sealed.iv, 3) }), undefined)
      assert.equal(open({ ...sealed, iv: new Uint8Array(0) }), undefined)
    })
  }
})

describe('AES key wrap', () => {
  const { cases } = readVectors<{
    cases: readonly { wrap: string; kek: string; key: string; wrapped: string }[]
  }>('aes-key-wrap')

  for (const { wrap, ...hex } of cases) {
    const cipher = KEY_WRAPS[wrap]!
    const [kek, key, wrapped] = [fromHex(hex.kek), fromHex(hex.key), fromHex(hex.wrapped)]
    it(`${cipher.name}, ${key.length} octets: as the RFC has it, and nothing else unwraps`, () => {
      assert.equal(toHex(wrapKey(cipher, kek, key)), hex.wrapped)
      assert.deepEqual(unwrapKey(cipher, kek, wrapped, key.length), key)
      for (let bit = 0; bit < wrapped.length * 8; bit += 7)
        assert.equal(unwrapKey(cipher, kek, flipped(wrapped, bit), key.length), undefined)
      for (const octet of [0xa5, 0xa7, 0x00, 0xff]) {
        const iv = new Uint8Array(8).fill(octet)
        const sealing = createCipheriv(cipher.name, kek, iv)
        const other = Buffer.concat([sealing.update(key), sealing.final()])
        assert.equal(unwrapKey(cipher, kek, other, key.length), undefined)
      }
    })

    it(`${cipher.name}, ${key.length} octets: sizes that no key has`, () => {
      for (let size = 0; size <= wrapped.length + 16; size++) {
        if (size === wrapped.length) continue
        const other = new Uint8Array(size)
        other.set(wrapped.subarray(0, size))
        for (const keyBytes of [key.length, 0, Math.max(0, size - 8)])
          assert.equal(unwrapKey(cipher, kek, other, keyBytes), undefined)
      }
    })
  }
})

const rsa = createPrivateKey(smimeKey('RSA-2048').keyPem)
const SIZE = 256
const rejectionSecret = randomBytes(32)

interface Transport {
  readonly keyBytes: number
  readonly oaep: Oaep | undefined
}

function transported(encryptedKey: Uint8Array, { keyBytes, oaep }: Transport): string {
  const options = { privateKey: rsa, rejectionSecret, encryptedKey, keyBytes, oaep }
  const found = toHex(openTransportedKey(options))
  const rejected = createHmac('sha256', rejectionSecret).update(encryptedKey).digest('hex')
  return found === rejected.slice(0, keyBytes * 2) ? 'rejected' : found
}

const raw = (block: Uint8Array): Uint8Array =>
  publicEncrypt({ key: createPublicKey(rsa), padding: constants.RSA_NO_PADDING }, block)

describe('RSA PKCS #1 v1.5', () => {
  const keys = [16, 24, 32].map((size) => randomBytes(size))
  const block = (key: Uint8Array, fill = 0x11): Uint8Array => {
    const bytes = new Uint8Array(SIZE).fill(fill)
    bytes.set([0, 2])
    bytes[SIZE - key.length - 1] = 0
    bytes.set(key, SIZE - key.length)
    return bytes
  }

  it('paddings that are right: random, all of one octet, as SSL 3 marks them', () => {
    for (const key of keys) {
      const transport = { keyBytes: key.length, oaep: undefined }
      const sealed = publicEncrypt(
        { key: createPublicKey(rsa), padding: constants.RSA_PKCS1_PADDING },
        key,
      )
      assert.equal(transported(sealed, transport), toHex(key))
      for (const fill of [1, 2, 3, 0x7f, 0x80, 0xff])
        assert.equal(transported(raw(block(key, fill)), transport), toHex(key))
    }
    for (const key of [new Uint8Array(32), new Uint8Array(32).fill(255)])
      assert.equal(transported(raw(block(key)), { keyBytes: 32, oaep: undefined }), toHex(key))
  })

  it('paddings that are wrong: every one is rejected', () => {
    const key = keys[2]!
    const edited = (edit: (bytes: Uint8Array) => void): Uint8Array => {
      const bytes = block(key)
      edit(bytes)
      return bytes
    }
    const blocks: Readonly<Record<string, Uint8Array>> = {
      'first octet 1': edited((bytes) => bytes.set([1])),
      'block type 0': edited((bytes) => bytes.set([0, 0])),
      'block type 1': edited((bytes) => bytes.set([0, 1], 0)),
      'block type 3': edited((bytes) => bytes.set([0, 3])),
      'no padding at all': edited((bytes) => bytes.set([0], 2)),
      'seven octets of padding': edited((bytes) => bytes.set([0], 9)),
      'a zero behind the eighth': edited((bytes) => bytes.set([0], 10)),
      'no end of the padding': edited((bytes) => bytes.set([1], SIZE - 33)),
      'a longer message': block(randomBytes(33)),
      'a shorter message': block(randomBytes(31)),
      'an empty message': block(new Uint8Array(0)),
      'all zeros': new Uint8Array(SIZE),
      one: new Uint8Array(SIZE).fill(1, SIZE - 1),
    }
    for (const [name, bytes] of Object.entries(blocks))
      assert.equal(transported(raw(bytes), { keyBytes: 32, oaep: undefined }), 'rejected', name)
    for (let at = 0; at < SIZE - 32; at += 5) {
      const bytes = edited((all) => all.set([at < 2 || at === SIZE - 33 ? 9 : 0], at))
      assert.equal(transported(raw(bytes), { keyBytes: 32, oaep: undefined }), 'rejected', `${at}`)
    }
  })

  it('numbers that are no ciphertext of this key: shorter, longer, too large', () => {
    const sealed = raw(block(keys[2]!))
    for (const other of [
      new Uint8Array(0),
      sealed.subarray(1),
      Buffer.concat([new Uint8Array(1), sealed]),
      Buffer.concat([sealed, new Uint8Array(1)]),
      new Uint8Array(SIZE).fill(255),
    ])
      assert.equal(transported(other, { keyBytes: 32, oaep: undefined }), 'rejected')
  })
})

describe('RSA-OAEP', () => {
  const HASHES: readonly Hash[] = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512']
  const mask = (seed: Uint8Array, length: number, hash: Hash): Uint8Array => {
    const blocks: Uint8Array[] = []
    for (let index = 0; blocks.length * 20 < length + 64; index++)
      blocks.push(
        createHash(hash)
          .update(seed)
          .update(Uint8Array.of(0, 0, 0, index))
          .digest(),
      )
    return Buffer.concat(blocks).subarray(0, length)
  }
  const xor = (one: Uint8Array, other: Uint8Array): Uint8Array =>
    one.map((octet, at) => octet ^ (other[at] ?? 0))
  /** RFC 8017 section 7.1.1, with what may be wrong in it. */
  const block = (
    key: Uint8Array,
    { hash, maskHash }: Oaep,
    wrong: {
      label?: string
      data?: (bytes: Uint8Array) => void
      first?: number
      seed?: number
    } = {},
  ): Uint8Array => {
    const labelHash = createHash(hash)
      .update(wrong.label ?? '')
      .digest()
    const data = new Uint8Array(SIZE - labelHash.length - 1)
    data.set(labelHash)
    data[data.length - key.length - 1] = 1
    data.set(key, data.length - key.length)
    wrong.data?.(data)
    const seed =
      wrong.seed === undefined
        ? randomBytes(labelHash.length)
        : new Uint8Array(labelHash.length).fill(wrong.seed)
    const maskedData = xor(data, mask(seed, data.length, maskHash))
    const maskedSeed = xor(seed, mask(maskedData, seed.length, maskHash))
    return Buffer.concat([Uint8Array.of(wrong.first ?? 0), maskedSeed, maskedData])
  }

  for (const hash of HASHES)
    it(`${hash}: opens what Node seals, and with another hash for the mask what we do`, () => {
      const key = randomBytes(32)
      const sealed = publicEncrypt(
        { key: createPublicKey(rsa), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash },
        key,
      )
      const same = { keyBytes: 32, oaep: { hash, maskHash: hash } }
      assert.equal(transported(sealed, same), toHex(key))
      for (const maskHash of HASHES) {
        const oaep = { hash, maskHash }
        const other = raw(block(key, oaep))
        assert.equal(transported(other, { keyBytes: 32, oaep }), toHex(key))
        if (maskHash !== hash) assert.equal(transported(other, same), 'rejected')
      }
    })

  it('everything that can be wrong in it is rejected', () => {
    const oaep: Oaep = { hash: 'sha256', maskHash: 'sha256' }
    const key = randomBytes(32)
    const open = (bytes: Uint8Array): string => transported(raw(bytes), { keyBytes: 32, oaep })
    for (const seed of [0, 255]) assert.equal(open(block(key, oaep, { seed })), toHex(key))
    const separator = SIZE - 33 - 33
    const blocks: Readonly<Record<string, Uint8Array>> = {
      'a label': block(key, oaep, { label: 'label' }),
      'first octet 1': block(key, oaep, { first: 1 }),
      'no separator': block(key, oaep, { data: (data) => data.set([0], separator) }),
      'separator 2': block(key, oaep, { data: (data) => data.set([2], separator) }),
      'an earlier one': block(key, oaep, { data: (data) => data.set([1], separator - 1) }),
      'padding not zero': block(key, oaep, { data: (data) => data.set([7], 40) }),
      'hash of the label off': block(key, oaep, { data: (data) => void (data[31]! ^= 1) }),
      'a longer message': block(randomBytes(33), oaep),
      'a shorter message': block(randomBytes(31), oaep),
      'all zeros': new Uint8Array(SIZE),
    }
    for (const [name, bytes] of Object.entries(blocks)) assert.equal(open(bytes), 'rejected', name)
    const good = raw(block(key, oaep))
    for (const other of [good.subarray(1), Buffer.concat([new Uint8Array(1), good])])
      assert.equal(transported(other, { keyBytes: 32, oaep }), 'rejected')
  })
})

describe('ECDH', () => {
  const NOBLE = { prime256v1: p256, secp384r1: p384, secp521r1: p521 }
  for (const curve of Object.keys(CURVES) as Curve[]) {
    const noble = NOBLE[curve]
    const { name } = CURVES[curve]
    const bytes = Math.ceil(noble.Point.Fp.BITS / 8)
    const order = noble.Point.Fn.ORDER
    const keyOf = (scalar: bigint): KeyObject => {
      const secret = Buffer.from(scalar.toString(16).padStart(bytes * 2, '0'), 'hex')
      const point = createECDH(curve)
      point.setPrivateKey(secret)
      const [x, y] = [1, 1 + bytes].map((at) => point.getPublicKey().subarray(at, at + bytes))
      const jwk = {
        kty: 'EC',
        crv: name,
        d: secret.toString('base64url'),
        x: x!.toString('base64url'),
        y: y!.toString('base64url'),
      }
      return createPrivateKey({ key: jwk, format: 'jwk' })
    }
    const agreed = (scalar: bigint, point: Uint8Array): string | undefined => {
      const publicKey = pointOf(curve, point)
      return publicKey && diffieHellman({ privateKey: keyOf(scalar), publicKey }).toString('hex')
    }

    it(`${name}: as another library has it, for odd scalars, both forms of points, and secrets that begin with zeros`, () => {
      const scalars = [1n, 2n, 3n, order - 1n, order - 2n, 1n << 200n, (1n << 250n) - 1n]
      const others = [noble.utils.randomSecretKey()]
      for (const scalar of scalars)
        for (const other of others) {
          const point = noble.Point.BASE.multiply(noble.Point.Fn.fromBytes(other))
          const shared = toHex(
            point
              .multiply(scalar)
              .toBytes(false)
              .subarray(1, 1 + bytes),
          )
          assert.equal(agreed(scalar, point.toBytes(false)), shared)
          assert.equal(agreed(scalar, point.toBytes(true)), shared)
        }
      const own = createECDH(curve)
      let point = own.generateKeys()
      const key = keyOf(5n)
      const sharedWith = (publicKey: KeyObject) => diffieHellman({ privateKey: key, publicKey })
      while (sharedWith(pointOf(curve, point)!)[0] !== 0) point = own.generateKeys()
      const shared = noble.Point.fromBytes(point)
        .multiplyUnsafe(5n)
        .toBytes(false)
        .subarray(1, 1 + bytes)
      assert.equal(agreed(5n, point), toHex(shared))
    })

    it(`${name}: what is no point of the curve, or is written in another way, is none`, () => {
      const point = createECDH(curve).generateKeys()
      const elsewhere = createECDH(curve === 'prime256v1' ? 'secp384r1' : 'prime256v1')
      const twisted = Buffer.from(point)
      twisted[twisted.length - 1]! ^= 1
      const prime = noble.Point.Fp.ORDER.toString(16).padStart(bytes * 2, '0')
      const none: readonly Uint8Array[] = [
        new Uint8Array(0),
        Uint8Array.of(0), // infinity
        Buffer.concat([Uint8Array.of(4), new Uint8Array(bytes * 2)]),
        twisted,
        point.subarray(0, -1),
        Buffer.concat([point, new Uint8Array(1)]),
        Buffer.concat([Uint8Array.of(6 + (point.at(-1)! & 1)), point.subarray(1)]), // hybrid
        Buffer.concat([Uint8Array.of(5), point.subarray(1)]),
        Buffer.concat([Uint8Array.of(4), fromHex(prime), point.subarray(1 + bytes)]),
        fromHex(`02${prime}`),
        elsewhere.generateKeys(),
      ]
      for (const bytesOfNone of none) assert.equal(pointOf(curve, bytesOfNone), undefined)
    })
  }
})

describe('the key derivation of X9.63', () => {
  const NOBLE = { sha1, sha224, sha256, sha384, sha512 }
  it('as another library’s hashes have it, for all lengths', () => {
    for (const [hash, noble] of Object.entries(NOBLE))
      for (const length of [0, 1, 16, 20, 24, 32, 48, 64, 65, 128, 200]) {
        const [secret, info] = [randomBytes(32), randomBytes(length % 40)]
        const blocks = Array.from({ length: 11 }, (_, at) =>
          noble(Buffer.concat([secret, Uint8Array.of(0, 0, 0, at + 1), info])),
        )
        const expected = Buffer.concat(blocks).subarray(0, length)
        assert.equal(toHex(x963Kdf(secret, info, length, hash as Hash)), toHex(expected))
      }
  })
})

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}
