import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { bls12_381 } from '@noble/curves/bls12-381.js'
import { expand_message_xmd, hash_to_field } from '@noble/curves/abstract/hash-to-curve.js'
import { sha256 } from '@noble/hashes/sha2.js'
import fc from 'fast-check'
import {
  expandMessageXmd,
  hashToFieldNumbers,
  hashToG1,
  hashToScalar,
} from '../../lib/crypto/hash-to-curve.ts'
import { loadBls12381 } from '../../lib/crypto/mcl.ts'
import type { Bls12381 } from '../../lib/crypto/mcl.ts'
import { readVectors, toHex } from '../support/vectors.ts'

interface Vectors {
  readonly expand: readonly { dst: string; message: string; length: number; uniform: string }[]
  readonly hash_to_curve: readonly {
    dst: string
    message: string
    u: readonly string[]
    x: string
    y: string
  }[]
}

const vectors = readVectors<Vectors>('hash-to-curve')
const { G1, fields } = bls12_381
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('expand_message_xmd with SHA-256', () => {
  for (const { dst, message, length, uniform } of vectors.expand) {
    const name = `${length} bytes of ${JSON.stringify(message.slice(0, 20))}, tag of ${dst.length}`
    it(`RFC 9380 appendix K: ${name}`, () => {
      assert.equal(toHex(expandMessageXmd(utf8(message), utf8(dst), length)), uniform)
    })
  }

  it('is what another implementation computes', () => {
    const length = fc.integer({ min: 1, max: 300 })
    const dst = fc.uint8Array({ minLength: 1, maxLength: 300 })
    const property = fc.property(fc.uint8Array(), dst, length, (message, tag, size) => {
      const expected = expand_message_xmd(message, tag, size, sha256)
      assert.equal(toHex(expandMessageXmd(message, tag, size)), toHex(expected))
    })
    fc.assert(property)
  })

  it('refuses more than 255 blocks', () => {
    assert.throws(() => expandMessageXmd(utf8(''), utf8('x'), 255 * 32 + 1), RangeError)
  })
})

describe('hash_to_curve to G1', () => {
  let curve: Bls12381
  before(async () => {
    curve = await loadBls12381()
  })

  for (const { dst, message, u, x, y } of vectors.hash_to_curve) {
    it(`RFC 9380 appendix J.9.1: ${JSON.stringify(message.slice(0, 20))}`, () => {
      const numbers = hashToFieldNumbers(utf8(message), utf8(dst)).map((bytes) =>
        (BigInt(`0x${toHex(bytes)}`) % fields.Fp.ORDER).toString(16).padStart(96, '0'),
      )
      assert.deepEqual(numbers, u)
      const expected = G1.Point.fromAffine({ x: BigInt(`0x${x}`), y: BigInt(`0x${y}`) })
      const actual = curve.formatG1(hashToG1(curve, utf8(message), dst))
      assert.equal(toHex(actual), toHex(expected.toBytes(true)))
    })
  }

  it('is what another implementation computes', () => {
    const property = fc.property(fc.uint8Array(), fc.string({ minLength: 1 }), (message, dst) => {
      const expected = G1.hashToCurve(message, { DST: utf8(dst) })
      const actual = curve.formatG1(hashToG1(curve, message, dst))
      assert.equal(toHex(actual), toHex(expected.toBytes(true)))
    })
    fc.assert(property, { numRuns: 40 })
  })
})

describe('hash_to_field to the scalars', () => {
  it('is what another implementation computes', async () => {
    const curve = await loadBls12381()
    const options = { p: fields.Fr.ORDER, m: 1, k: 128, expand: 'xmd', hash: sha256 } as const
    const property = fc.property(fc.uint8Array(), fc.string({ minLength: 1 }), (message, dst) => {
      const [[expected] = []] = hash_to_field(message, 1, { ...options, DST: utf8(dst) })
      const actual = curve.formatScalar(hashToScalar(curve, message, dst))
      assert.equal(BigInt(`0x${toHex(actual)}`), expected)
    })
    fc.assert(property)
  })
})
