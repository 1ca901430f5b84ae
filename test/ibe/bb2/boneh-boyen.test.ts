import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { loadBn254, type Bn254, type BnScalar } from '../../../lib/crypto/bn254.ts'
import { loadBls12381 } from '../../../lib/crypto/mcl.ts'
import { PermError } from '../../../lib/errors.ts'
import {
  extract,
  generateKeyPair,
  hashLocalPart,
  open,
  parsePublicKey,
  randomness,
  seal,
} from '../../../lib/ibe/bb2/boneh-boyen.ts'
import { createJobs } from '../../../lib/ibe/bb2/jobs.ts'
import { fromHex, readVectors, toHex } from '../../support/vectors.ts'
import {
  nobleExtract,
  nobleFormatG1,
  nobleFormatG2,
  nobleFormatGt,
  nobleGt,
  nobleHash,
  nobleIdentity,
  nobleOpen,
  noblePairing,
  nobleParseG1,
  nobleParseG2,
  nobleParseGt,
  nobleParseMasterKey,
  nobleParsePublicKey,
  noblePublicKey,
  nobleSeal,
  ORDER,
  toNumber,
} from './noble-bb2.ts'

type Hex<Name extends string> = { readonly [N in Name]: string }
type Vector = { readonly name: string } & (
  | ({ readonly kind: 'identity'; readonly expect: 'scalar' } & Hex<'local_part' | 'ID'>)
  | ({ readonly kind: 'encapsulation'; readonly expect: 'opens' } & Hex<
      'master_key' | 'public_key' | 'local_part' | 'r' | 'identity_key' | 's' | 'M' | 'key'
    > &
      Hex<'C1' | 'C2' | 'C3'>)
  | ({ readonly kind: 'encapsulation'; readonly expect: 'refused' } & Hex<
      'identity_key' | 'C1' | 'C2' | 'C3'
    >)
  | { readonly kind: 'record' }
)

const { cases } = readVectors<{ cases: readonly Vector[] }>('ibe-bb2')

/** The one failure, whatever the cause. */
function isDecryptError(error: unknown): boolean {
  return (
    error instanceof PermError &&
    error.code === 'ibe/decrypt' &&
    error.message === 'the message does not open'
  )
}

describe('BB2', () => {
  let curve: Bn254
  before(async () => {
    curve = await loadBn254()
  })

  const scalar = (bytes: Uint8Array): BnScalar => {
    const parsed = curve.parseScalar(bytes)
    assert.ok(parsed)
    return parsed
  }
  const sealNew = (
    publicKey: Uint8Array,
    localPart: string,
  ): { key: Uint8Array; encapsulation: Uint8Array } => {
    const key = parsePublicKey(curve, publicKey)
    return seal(curve, key, localPart, randomness(curve, key))
  }

  for (const vector of cases) {
    if (vector.kind === 'record') continue
    it(`vector: ${vector.kind}: ${vector.name}`, () => {
      if (vector.kind === 'identity') {
        assert.equal(toHex(curve.formatScalar(hashLocalPart(curve, vector.local_part))), vector.ID)
        return
      }
      const { C1, C2, C3 } = vector
      const encapsulation = fromHex(`${C1}${C2}${C3}`)
      const identityKey = fromHex(vector.identity_key)
      if (vector.expect === 'refused') {
        assert.throws(() => open(curve, identityKey, encapsulation), isDecryptError)
        return
      }
      const { local_part: localPart } = vector
      const masterKey = fromHex(vector.master_key)
      const made = extract(curve, masterKey, localPart, scalar(fromHex(vector.r)))
      assert.equal(toHex(made), vector.identity_key)
      const publicKey = parsePublicKey(curve, fromHex(vector.public_key))
      const message = curve.parseGt(fromHex(vector.M))
      assert.ok(message)
      const sealed = seal(curve, publicKey, localPart, { s: scalar(fromHex(vector.s)), message })
      assert.equal(toHex(sealed.encapsulation), toHex(encapsulation))
      assert.equal(toHex(sealed.key), vector.key)
      assert.equal(toHex(open(curve, identityKey, encapsulation)), vector.key)
    })
  }

  it('another implementation computes the same pairing, v and identity keys', () => {
    for (const localPart of ['alice', '日本語', randomBytes(20).toString('hex')]) {
      const { masterKey, publicKey } = generateKeyPair(curve)
      const { g, x, y, v } = nobleParsePublicKey(publicKey)
      const { h, x: secretX } = nobleParseMasterKey(masterKey)
      assert.ok(nobleGt.equal(v, noblePairing(g, h)), 'v = e(g, h)')
      assert.equal(toHex(noblePublicKey(masterKey, g)), toHex(publicKey))
      assert.ok(secretX > 0n && secretX < ORDER)
      const r = curve.randomScalar()
      const number = toNumber(curve.formatScalar(r))
      const identityKey = extract(curve, masterKey, localPart, r)
      assert.equal(toHex(identityKey), toHex(nobleExtract(masterKey, localPart, number)))
      const k = nobleParseG2(identityKey.subarray(0, 64))
      const left = g.multiply(nobleIdentity(localPart)).add(x).add(y.multiply(number))
      assert.ok(nobleGt.equal(noblePairing(left, k), v), 'e(g^ID X Y^r, K) = v')
    }
  })

  it('another implementation opens what we seal, and we open what it seals', () => {
    for (const localPart of ['alice', 'アリス']) {
      const { masterKey, publicKey } = generateKeyPair(curve)
      const identityKey = extract(curve, masterKey, localPart)
      const ours = sealNew(publicKey, localPart)
      const message = nobleOpen(identityKey, ours.encapsulation)
      assert.equal(toHex(nobleHash(message)), toHex(ours.key))
      const s = toNumber(curve.formatScalar(curve.randomScalar()))
      const theirs = nobleSeal({ publicKey, localPart, s, message })
      assert.equal(toHex(open(curve, identityKey, theirs)), toHex(ours.key))
    }
  })

  it('both write points and elements of GT in the same form', () => {
    for (let count = 0; count < 4; count++) {
      const [g, h] = [curve.randomG1(), curve.randomG2()]
      const [one, other] = [curve.formatG1(g), curve.formatG2(h)]
      assert.equal(toHex(nobleFormatG1(nobleParseG1(one))), toHex(one))
      assert.equal(toHex(nobleFormatG2(nobleParseG2(other))), toHex(other))
      const bytes = curve.formatGt(curve.pairing(g, h))
      const paired = noblePairing(nobleParseG1(one), nobleParseG2(other))
      assert.equal(toHex(nobleFormatGt(paired)), toHex(bytes))
      assert.ok(nobleGt.equal(nobleParseGt(bytes), paired))
    }
  })

  it('both hash local parts to the same scalars', () => {
    const property = fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const ours = toNumber(curve.formatScalar(hashLocalPart(curve, text)))
      assert.equal(ours, nobleIdentity(text))
    })
    fc.assert(property, { numRuns: 300 })
  })

  it('two identity keys of one identity differ, and both open', () => {
    const { masterKey, publicKey } = generateKeyPair(curve)
    const [one, other] = [
      extract(curve, masterKey, 'alice'),
      extract(curve, masterKey, 'alice'),
    ] as const
    assert.notDeepEqual(one.subarray(0, 64), other.subarray(0, 64))
    assert.notDeepEqual(one.subarray(64), other.subarray(64))
    const sealed = sealNew(publicKey, 'alice')
    assert.deepEqual(open(curve, one, sealed.encapsulation), sealed.key)
    assert.deepEqual(open(curve, other, sealed.encapsulation), sealed.key)
  })

  it('two encapsulations for one identity differ in each of their parts', () => {
    const { publicKey } = generateKeyPair(curve)
    const [one, other] = [sealNew(publicKey, 'alice'), sealNew(publicKey, 'alice')] as const
    assert.notDeepEqual(one.key, other.key)
    for (const [from, to] of [
      [0, 32],
      [32, 64],
      [64, 448],
    ] as const) {
      const parts = [one, other].map(({ encapsulation }) => toHex(encapsulation.subarray(from, to)))
      assert.notEqual(parts[0], parts[1])
    }
  })

  it('another identity, another master key, half of another key and rubbish do not give the key', () => {
    const { masterKey, publicKey } = generateKeyPair(curve)
    const { key, encapsulation } = sealNew(publicKey, 'alice')
    const right = extract(curve, masterKey, 'alice')
    const again = extract(curve, masterKey, 'alice')
    assert.deepEqual(open(curve, right, encapsulation), key)
    const wrong = [
      extract(curve, masterKey, 'alicf'),
      extract(curve, masterKey, 'Alice'),
      extract(curve, masterKey, ''),
      extract(curve, generateKeyPair(curve).masterKey, 'alice'),
      Buffer.concat([right.subarray(0, 64), again.subarray(64)]),
    ]
    for (const identityKey of wrong) {
      assert.notDeepEqual(open(curve, identityKey, encapsulation), key)
    }
    for (const bytes of [randomBytes(96), new Uint8Array(0), new Uint8Array(96)]) {
      assert.throws(() => open(curve, bytes, encapsulation), isDecryptError)
    }
  })

  it('an encapsulation with any one bit changed does not give the key', () => {
    const { masterKey, publicKey } = generateKeyPair(curve)
    const { key, encapsulation } = sealNew(publicKey, 'alice')
    const identityKey = extract(curve, masterKey, 'alice')
    const property = fc.property(fc.nat(448 * 8 - 1), (bit) => {
      const changed = Uint8Array.from(encapsulation)
      changed[bit >> 3]! ^= 0x80 >> (bit & 7)
      try {
        assert.notDeepEqual(open(curve, identityKey, changed), key)
      } catch (error) {
        assert.ok(isDecryptError(error), String(error))
      }
    })
    fc.assert(property, { numRuns: 250 })
  })

  it('the worker wipes the keys it was given', () => {
    const jobs = createJobs(curve)
    const { masterKey, publicKey } = jobs.generate(undefined)
    const identityKey = jobs.extract({ masterKey, localPart: 'alice' })
    assert.deepEqual(masterKey, new Uint8Array(128))
    const { key, encapsulation } = jobs.encapsulate({ publicKey, localPart: 'alice' })
    assert.deepEqual(jobs.decapsulate({ identityKey, encapsulation }), key)
    assert.deepEqual(identityKey, new Uint8Array(96))
  })

  it('a master key that is none is said, and h outside of the subgroup is none', () => {
    const { masterKey } = generateKeyPair(curve)
    const onTwist = findOnTwist()
    for (const bad of [
      new Uint8Array(128),
      masterKey.subarray(1),
      Buffer.concat([new Uint8Array(32), masterKey.subarray(32)]),
      Buffer.concat([masterKey.subarray(0, 64), onTwist]),
    ]) {
      assert.throws(
        () => extract(curve, bad, 'alice'),
        (error: unknown) => error instanceof PermError && error.code === 'vault/malformed',
      )
    }
  })

  it('a thread that computes on BN254 refuses BLS12-381', async () => {
    await assert.rejects(loadBls12381(), /computes on BN254 already/)
    await assert.rejects(loadBls12381(), /computes on BN254 already/)
  })
})

/** A point of the twist, of which one in 2^254 is in G2. */
function findOnTwist(): Uint8Array {
  for (let first = 1; ; first++) {
    const bytes = new Uint8Array(64)
    bytes[0] = first
    try {
      nobleParseG2(bytes)
    } catch (error) {
      if (/subgroup/.test(String(error))) return bytes
    }
  }
}
