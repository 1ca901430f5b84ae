import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { decryptOnG2, encryptOnG2RFC9380 } from 'tlock-js/crypto/ibe'
import { loadBls12381 } from '../../lib/crypto/mcl.ts'
import type { Bls12381 } from '../../lib/crypto/mcl.ts'
import { PermError } from '../../lib/errors.ts'
import { hashIdentity, IDENTITY_DST, openKek, sealKek } from '../../lib/ibe/boneh-franklin.ts'
import { createJobs } from '../../lib/ibe/jobs.ts'
import { extract, generateMasterKey, publicKey } from '../../lib/ibe/kgc.ts'
import { nobleExtract, nobleOpen, noblePublicKey, nobleSeal } from './noble-bf.ts'
import { fromHex, readVectors, toHex } from '../support/vectors.ts'

const DRAND_DST = 'BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_'

interface Good {
  readonly name: string
  readonly expect: 'opens'
  readonly identity: string
  readonly [field: string]: string | number
}
interface Bad {
  readonly name: string
  readonly expect: 'refused'
  readonly identity_key: string
  readonly U: string
  readonly V: string
  readonly W: string
}

const { cases } = readVectors<{ cases: readonly (Good | Bad)[] }>('ibe-bf')

/** The one failure, whatever the cause. */
function isDecryptError(error: unknown): boolean {
  return (
    error instanceof PermError &&
    error.code === 'ibe/decrypt' &&
    error.message === 'the encapsulated key does not open'
  )
}

describe('Boneh-Franklin FullIdent', () => {
  let curve: Bls12381
  before(async () => {
    curve = await loadBls12381()
  })

  interface Args {
    readonly publicKey: Uint8Array
    readonly identity: string
    readonly kek: Uint8Array
    readonly sigma: Uint8Array
    readonly dst?: string
  }
  const seal = (args: Args): Uint8Array => {
    const point = curve.parseG2(args.publicKey)
    assert.ok(point)
    return sealKek(curve, {
      pairWithPublicKey: (other) => curve.pairing(other, point),
      identityPoint: hashIdentity(curve, args.identity, args.dst),
      kek: args.kek,
      sigma: args.sigma,
    })
  }
  const open = (identityKey: Uint8Array, encapsulation: Uint8Array): Uint8Array =>
    createJobs(curve).decapsulate({ identityKey: Uint8Array.from(identityKey), encapsulation })

  for (const vector of cases) {
    it(`vector: ${vector.name}`, () => {
      const identityKey = fromHex(String(vector['identity_key']))
      const encapsulation = fromHex(`${vector['U']}${vector['V']}${vector['W']}`)
      if (vector.expect === 'refused') {
        assert.throws(() => open(identityKey, encapsulation), isDecryptError)
        return
      }
      const bytes = (field: string): Uint8Array => fromHex(String(vector[field]))
      const { identity } = vector
      assert.deepEqual(publicKey(curve, bytes('master_key')), bytes('public_key'))
      assert.deepEqual(extract(curve, bytes('master_key'), identity), identityKey)
      const args = { publicKey: bytes('public_key'), identity }
      const sealed = seal({ ...args, kek: bytes('kek'), sigma: bytes('sigma') })
      assert.deepEqual(sealed, encapsulation)
      assert.equal(toHex(open(identityKey, encapsulation)), vector['kek'])
    })
  }

  it('another implementation computes the same keys and encapsulations, and opens what we seal', () => {
    for (const identity of ['alice@b.example', 'alice@b.example#2026-11', '', '日本語@例え']) {
      const masterKey = generateMasterKey(curve)
      const key = publicKey(curve, masterKey)
      const identityKey = extract(curve, masterKey, identity)
      assert.equal(toHex(key), toHex(noblePublicKey(masterKey)))
      assert.equal(toHex(identityKey), toHex(nobleExtract(masterKey, identity)))
      const kek = randomBytes(32)
      const sigma = randomBytes(32)
      const sealed = seal({ publicKey: key, identity, kek, sigma })
      assert.equal(toHex(sealed), toHex(nobleSeal({ publicKey: key, identity, kek, sigma })))
      assert.equal(toHex(nobleOpen(identityKey, sealed) ?? sigma), toHex(kek))
    }
  })

  it('tlock-js opens what we seal and we open what it seals, under the tag of drand', async () => {
    for (const identity of ['1', 'alice@b.example#2026-W47']) {
      const masterKey = generateMasterKey(curve)
      const key = publicKey(curve, masterKey)
      const identityKey = extract(curve, masterKey, identity, DRAND_DST)
      const kek = randomBytes(32)
      const sealed = seal({
        publicKey: key,
        identity,
        kek,
        sigma: randomBytes(32),
        dst: DRAND_DST,
      })
      const parts = {
        U: sealed.subarray(0, 96),
        V: sealed.subarray(96, 128),
        W: sealed.subarray(128),
      }
      const read = await decryptOnG2(Buffer.from(identityKey), parts)
      assert.equal(toHex(read), toHex(kek))
      const theirs = await encryptOnG2RFC9380(Buffer.from(key), Buffer.from(identity), kek)
      const joined = Buffer.concat([theirs.U, theirs.V, theirs.W])
      assert.equal(toHex(open(identityKey, joined)), toHex(kek))
    }
  })

  it('an encapsulation with any one bit changed does not open', () => {
    const { identity_key: key, U, V, W } = cases[0] as Record<string, string> & Good
    const identityKey = fromHex(key!)
    const property = fc.property(fc.nat(160 * 8 - 1), (bit) => {
      const changed = fromHex(`${U}${V}${W}`)
      changed[bit >> 3]! ^= 0x80 >> (bit & 7)
      assert.throws(() => open(identityKey, changed), isDecryptError)
    })
    fc.assert(property, { numRuns: 150 })
  })

  it('another identity, another master key and random bytes do not open', () => {
    const masterKey = generateMasterKey(curve)
    const args = { kek: randomBytes(32), sigma: randomBytes(32), identity: 'alice@b.example' }
    const sealed = seal({ ...args, publicKey: publicKey(curve, masterKey) })
    assert.deepEqual(
      open(extract(curve, masterKey, args.identity), sealed),
      new Uint8Array(args.kek),
    )
    const wrong = [
      extract(curve, masterKey, 'alice@b.example#2026-11'),
      extract(curve, masterKey, 'alicf@b.example'),
      extract(curve, generateMasterKey(curve), args.identity),
      extract(curve, masterKey, args.identity, DRAND_DST),
      randomBytes(48),
      new Uint8Array(0),
    ]
    for (const key of wrong) assert.throws(() => open(key, sealed), isDecryptError)
    const key = extract(curve, masterKey, args.identity)
    const property = fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.throws(() => open(key, bytes), isDecryptError)
    })
    fc.assert(property)
  })

  it('two encapsulations for one identity differ, and the worker wipes the keys it was given', () => {
    const jobs = createJobs(curve)
    const masterKey = jobs.generateMasterKey(undefined)
    const key = publicKey(curve, masterKey)
    const one = jobs.encapsulate({ publicKey: key, identity: 'a@b.example' })
    const other = jobs.encapsulate({ publicKey: key, identity: 'a@b.example' })
    assert.notDeepEqual(one.kek, other.kek)
    assert.notDeepEqual(one.encapsulation, other.encapsulation)
    const identityKey = jobs.extract({ masterKey, identity: 'a@b.example', dst: IDENTITY_DST })
    assert.deepEqual(masterKey, new Uint8Array(32))
    const opened = openKek(curve, curve.parseG1(identityKey)!, one.encapsulation)
    assert.equal(toHex(opened), toHex(one.kek))
    jobs.decapsulate({ identityKey, encapsulation: one.encapsulation })
    assert.deepEqual(identityKey, new Uint8Array(48))
  })

  it('refuses a public key or a master key that is none', () => {
    const jobs = createJobs(curve)
    for (const key of [new Uint8Array(96), randomBytes(96), new Uint8Array(0)]) {
      assert.equal(jobs.checkPublicKey({ publicKey: key }), false)
      const encapsulate = () => jobs.encapsulate({ publicKey: key, identity: 'a@b.example' })
      assert.throws(encapsulate, { code: 'ibe/parameters' })
    }
    for (const key of [new Uint8Array(32), new Uint8Array(32).fill(255), new Uint8Array(31)]) {
      assert.throws(() => jobs.publicKey({ masterKey: key }), { code: 'vault/malformed' })
    }
  })
})
