import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { loadBls12381 } from '../../../lib/crypto/mcl.ts'
import type { Bls12381 } from '../../../lib/crypto/mcl.ts'
import { IDENTITY_DST } from '../../../lib/ibe/boneh-franklin.ts'
import { createJobs, type IbeJobs } from '../../../lib/ibe/jobs.ts'
import { extract, generateMasterKey, publicKey } from '../../../lib/ibe/kgc.ts'
import { hashSigner, sign, SIGNER_DST } from '../../../lib/ibe/signature/cha-cheon.ts'
import { fromHex, readVectors, toHex } from '../../support/vectors.ts'
import { nobleSign, nobleSignerKey, nobleVerify } from './noble-cc.ts'

interface Case {
  readonly name: string
  readonly identity: string
  readonly public_key: string
  readonly digest: string
  readonly U: string
  readonly V: string
}
interface Good extends Case {
  readonly expect: 'verifies'
  readonly master_key: string
  readonly identity_key: string
  readonly seed: string
}
interface Bad extends Case {
  readonly expect: 'refused'
}

const { cases } = readVectors<{ cases: readonly (Good | Bad)[] }>('ibe-cc')

interface One {
  readonly publicKey: Uint8Array
  readonly identity: string
  readonly digest: Uint8Array
  readonly signature: Uint8Array
}

describe('Cha-Cheon signatures', () => {
  let curve: Bls12381
  let jobs: IbeJobs
  before(async () => {
    curve = await loadBls12381()
    jobs = createJobs(curve)
  })

  /** Signatures under the first one's public key. */
  const verify = (...all: readonly One[]): readonly boolean[] => {
    const good = jobs.verify({
      publicKey: all[0]!.publicKey,
      identities: all.map(({ identity }) => identity),
      digests: Buffer.concat(all.map(({ digest }) => digest)),
      signatures: Buffer.concat(all.map(({ signature }) => signature)),
    })
    return Array.from(good, (one) => one === 1)
  }
  const seedSign = (key: Uint8Array, identity: string, digest: Uint8Array, seed: Uint8Array) => {
    const identityKey = curve.parseG1(key)
    assert.ok(identityKey)
    return sign(curve, {
      identityKey,
      keyBytes: curve.formatG1(identityKey),
      signer: hashSigner(curve, identity),
      digest,
      seed,
    })
  }
  const signWith = (masterKey: Uint8Array, identity: string): One => {
    const digest = randomBytes(32)
    const identityKey = extract(curve, masterKey, identity, SIGNER_DST)
    const signature = jobs.sign({ identityKey, identity, digest })
    return { publicKey: publicKey(curve, masterKey), identity, digest, signature }
  }
  const vectorOf = (vector: Case): One => ({
    publicKey: fromHex(vector.public_key),
    identity: vector.identity,
    digest: fromHex(vector.digest),
    signature: fromHex(vector.U + vector.V),
  })

  for (const vector of cases) {
    it(`vector: ${vector.name}`, () => {
      const one = vectorOf(vector)
      assert.deepEqual(verify(one), [vector.expect === 'verifies'])
      if (vector.expect === 'refused') return
      const masterKey = fromHex(vector.master_key)
      assert.equal(toHex(publicKey(curve, masterKey)), vector.public_key)
      const key = extract(curve, masterKey, vector.identity, SIGNER_DST)
      assert.equal(toHex(key), vector.identity_key)
      const signature = seedSign(key, vector.identity, one.digest, fromHex(vector.seed))
      assert.equal(toHex(signature), vector.U + vector.V)
    })
  }

  it('another implementation makes the same signatures, verifies ours and we verify its own', () => {
    for (const identity of ['alice@a.example', 'alice@a.example#2026-11', '', '日本語@例え']) {
      const masterKey = generateMasterKey(curve)
      const key = extract(curve, masterKey, identity, SIGNER_DST)
      assert.equal(toHex(key), toHex(nobleSignerKey(masterKey, identity)))
      const [digest, seed] = [randomBytes(32), randomBytes(32)]
      const theirs = nobleSign(key, identity, digest, seed)
      assert.equal(toHex(seedSign(key, identity, digest, seed)), toHex(theirs))
      const ours = signWith(masterKey, identity)
      assert.ok(nobleVerify(ours.publicKey, identity, ours.digest, ours.signature))
      assert.deepEqual(verify(ours, { ...ours, digest, signature: theirs }), [true, true])
    }
  })

  it('another implementation judges changed signatures as we do', () => {
    const good = signWith(generateMasterKey(curve), 'alice@a.example')
    const property = fc.property(fc.nat(96 * 8 - 1), (bit) => {
      const signature = flipped(good.signature, bit)
      const theirs = nobleVerify(good.publicKey, good.identity, good.digest, signature)
      assert.deepEqual(verify({ ...good, signature }), [theirs])
    })
    fc.assert(property, { numRuns: 20 })
  })

  it('with any one bit of signature, digest or public key changed it does not verify', () => {
    const good = signWith(generateMasterKey(curve), 'alice@a.example#2026-11')
    assert.deepEqual(verify(good), [true])
    for (let bit = 0; bit < 96 * 8; bit++)
      assert.deepEqual(verify({ ...good, signature: flipped(good.signature, bit) }), [false])
    for (let bit = 0; bit < 32 * 8; bit++)
      assert.deepEqual(verify({ ...good, digest: flipped(good.digest, bit) }), [false])
    for (let bit = 0; bit < 96 * 8; bit++) {
      const changed = { ...good, publicKey: flipped(good.publicKey, bit) }
      try {
        assert.deepEqual(verify(changed), [false])
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'ibe/parameters')
      }
    }
  })

  it('with any one character of the identity changed it does not verify', () => {
    const good = signWith(generateMasterKey(curve), 'alice@a.example#2026-11')
    const others = good.identity
      .split('')
      .map(
        (char, at) =>
          good.identity.slice(0, at) + (char === 'x' ? 'y' : 'x') + good.identity.slice(at + 1),
      )
    for (const identity of [...others, '', `${good.identity} `, 'alice@a.example'])
      assert.deepEqual(verify({ ...good, identity }), [false], identity)
  })

  it('two signatures of one digest differ, and have no r in common', () => {
    const masterKey = generateMasterKey(curve)
    const identity = 'alice@a.example'
    const digest = randomBytes(32)
    const make = () =>
      jobs.sign({
        identityKey: extract(curve, masterKey, identity, SIGNER_DST),
        identity,
        digest: Uint8Array.from(digest),
      })
    const us = Array.from({ length: 10 }, () => toHex(make().subarray(0, 48)))
    assert.equal(new Set(us).size, 10)
  })

  it('a seed that is drawn twice gives another r for another digest and for another key', () => {
    const [masterKey, seed] = [generateMasterKey(curve), new Uint8Array(32)]
    const identity = 'alice@a.example'
    const key = extract(curve, masterKey, identity, SIGNER_DST)
    const otherKey = extract(curve, generateMasterKey(curve), identity, SIGNER_DST)
    const digest = randomBytes(32)
    const us = [
      seedSign(key, identity, digest, seed),
      seedSign(key, identity, flipped(digest, 0), seed),
      seedSign(otherKey, identity, digest, seed),
      seedSign(key, identity, digest, Uint8Array.of(...seed.subarray(1), 1)),
    ].map((signature) => toHex(signature.subarray(0, 48)))
    assert.equal(new Set(us).size, 4)
  })

  it('an identity key for encryption signs nothing', () => {
    const masterKey = generateMasterKey(curve)
    const identity = 'alice@a.example'
    const identityKey = extract(curve, masterKey, identity, IDENTITY_DST)
    const digest = randomBytes(32)
    const signature = jobs.sign({ identityKey, identity, digest })
    const one = { publicKey: publicKey(curve, masterKey), identity, digest, signature }
    assert.deepEqual(verify(one), [false])
  })

  it('the worker wipes the key it was given, and refuses what is none', () => {
    const identity = 'alice@a.example'
    const identityKey = extract(curve, generateMasterKey(curve), identity, SIGNER_DST)
    jobs.sign({ identityKey, identity, digest: randomBytes(32) })
    assert.deepEqual(identityKey, new Uint8Array(48))
    for (const key of [new Uint8Array(48), Uint8Array.of(0xc0, ...new Uint8Array(47))]) {
      const attempt = () => jobs.sign({ identityKey: key, identity, digest: randomBytes(32) })
      assert.throws(attempt, { code: 'vault/malformed' })
      assert.deepEqual(key, new Uint8Array(48))
    }
  })

  it('a public key that is no point is an error of the parameters', () => {
    const good = signWith(generateMasterKey(curve), 'alice@a.example')
    const infinity = Uint8Array.of(0xc0, ...new Uint8Array(95))
    for (const key of [new Uint8Array(96), infinity, new Uint8Array(0)])
      assert.throws(() => verify({ ...good, publicKey: key }), { code: 'ibe/parameters' })
  })

  it('random bytes do not verify', () => {
    const good = signWith(generateMasterKey(curve), 'alice@a.example')
    const bytes = fc.uint8Array({ minLength: 96, maxLength: 96 })
    fc.assert(
      fc.property(bytes, (signature) => {
        signature[0]! |= 0x80
        signature[48]! |= 0x80
        assert.deepEqual(verify({ ...good, signature }), [false])
      }),
    )
  })

  describe('in a batch', () => {
    const SIZE = 9
    let good: readonly One[]
    before(() => {
      const masterKey = generateMasterKey(curve)
      good = Array.from({ length: SIZE }, (_, at) => signWith(masterKey, `user${at % 5}@a.example`))
    })
    const all = (value: boolean): boolean[] => Array.from({ length: SIZE }, () => value)
    const at = (place: number, one: One): readonly One[] => good.with(place, one)

    it('all that are good verify', () => {
      assert.deepEqual(verify(...good), all(true))
      assert.deepEqual(verify(...good.slice(0, 2)), [true, true])
    })

    it('one that is bad, at whatever place and in whatever way, is found and harms no other', () => {
      for (const [place, one] of good.entries()) {
        const ways: readonly One[] = [
          { ...one, digest: flipped(one.digest, 5) },
          { ...one, identity: 'mallory@a.example' },
          { ...one, signature: good[(place + 1) % SIZE]!.signature },
          { ...one, signature: flipped(one.signature, 300) },
          { ...one, signature: new Uint8Array(96) },
          { ...one, signature: negatedV(one.signature) },
        ]
        for (const way of ways)
          assert.deepEqual(verify(...at(place, way)), all(true).with(place, false))
      }
    })

    it('all that are bad are found', () => {
      const bad = good.map((one) => ({ ...one, digest: flipped(one.digest, 0) }))
      assert.deepEqual(verify(...bad), all(false))
    })

    it('two bad ones whose errors cancel out in a plain sum are found', () => {
      const [first, second] = [good[0]!, good[1]!]
      const shift = curve.multiplyG1(hashSigner(curve, 'anything'), curve.randomScalar())
      const back = curve.parseG1(negated(curve.formatG1(shift)))!
      const moved = (one: One, by: typeof shift): One => {
        const v = curve.addG1(curve.parseG1(one.signature.subarray(48))!, by)
        const signature = Buffer.concat([one.signature.subarray(0, 48), curve.formatG1(v)])
        return { ...one, signature }
      }
      const sum = (ones: readonly One[]) =>
        toHex(
          curve.formatG1(
            ones
              .map(({ signature }) => curve.parseG1(signature.subarray(48))!)
              .reduce((total, v) => curve.addG1(total, v)),
          ),
        )
      const forged = [moved(first, shift), moved(second, back)]
      assert.equal(sum(forged), sum([first, second]), 'the plain sums are the same')
      for (let round = 0; round < 20; round++)
        assert.deepEqual(verify(...forged, ...good.slice(2)), [false, false, ...all(true).slice(2)])
    })

    it('a point outside the subgroup is found, which weights would let pass now and then', () => {
      const vector = cases.find(({ name }) => name.includes('moved by a point outside'))!
      const original = vectorOf(cases[0]!)
      const moved = vectorOf(vector)
      for (let round = 0; round < 20; round++)
        assert.deepEqual(verify(original, moved, original), [true, false, true])
    })
  })
})

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  changed[bit >> 3]! ^= 0x80 >> (bit & 7)
  return changed
}

/** The flag of the sign turned. */
function negated(point: Uint8Array): Uint8Array {
  return flipped(point, 2)
}

function negatedV(signature: Uint8Array): Uint8Array {
  return flipped(signature, 48 * 8 + 2)
}
