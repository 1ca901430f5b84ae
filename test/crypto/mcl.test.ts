import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { before, describe, it } from 'node:test'
import { bls12_381 } from '@noble/curves/bls12-381.js'
import fc from 'fast-check'
import { loadBn254 } from '../../lib/crypto/bn254.ts'
import { loadBls12381 } from '../../lib/crypto/mcl.ts'
import type { Bls12381, Scalar } from '../../lib/crypto/mcl.ts'
import { nobleGtBytes, nobleHash, toNumber } from '../ibe/noble-bf.ts'
import { toHex } from '../support/vectors.ts'

const { G1, G2, fields } = bls12_381
const ORDER = fields.Fr.ORDER

function bytesOf(number: bigint, length: number): Uint8Array {
  return Uint8Array.from(Buffer.from(number.toString(16).padStart(2 * length, '0'), 'hex'))
}

/** The point, if noble takes these bytes for one of the subgroup other than infinity. */
function nobleTakes(group: typeof G1 | typeof G2, bytes: Uint8Array): boolean {
  try {
    const point = group.Point.fromBytes(bytes)
    point.assertValidity()
    return !point.is0() && toHex(point.toBytes(true)) === toHex(bytes)
  } catch {
    return false
  }
}

describe('BLS12-381 by mcl', () => {
  let curve: Bls12381
  before(async () => {
    curve = await loadBls12381()
  })

  it('loads once a thread', async () => {
    assert.equal(await loadBls12381(), curve)
  })

  it('takes scalars from 1 to the order less 1, big-endian, and no others', () => {
    for (const number of [1n, 2n, 258n, ORDER - 1n]) {
      const scalar = curve.parseScalar(bytesOf(number, 32))
      assert.ok(scalar)
      assert.equal(toNumber(curve.formatScalar(scalar)), number)
    }
    for (const number of [0n, ORDER, ORDER + 1n, (1n << 256n) - 1n]) {
      assert.equal(curve.parseScalar(bytesOf(number, 32)), undefined)
    }
    assert.equal(curve.parseScalar(new Uint8Array(31).fill(1)), undefined)
    assert.equal(curve.parseScalar(new Uint8Array(33).fill(1)), undefined)
  })

  it('draws scalars that differ', () => {
    const drawn = Array.from({ length: 20 }, () => toHex(curve.formatScalar(curve.randomScalar())))
    assert.equal(new Set(drawn).size, 20)
  })

  it('multiplies, adds and pairs as another implementation does, at the edges too', () => {
    const edges = [1n, 2n, ORDER - 2n, ORDER >> 1n].map((number) => bytesOf(number, 32))
    const random = Array.from({ length: 4 }, () => curve.formatScalar(curve.randomScalar()))
    for (const bytes of [...edges, ...random]) {
      const scalar = curve.parseScalar(bytes)!
      const name = toHex(bytes)
      const p = nobleHash(name)
      const ours = curve.parseG1(p.toBytes(true))!
      const product = curve.multiplyG1(ours, scalar)
      const expected = p.multiply(toNumber(bytes))
      assert.equal(toHex(curve.formatG1(product)), toHex(expected.toBytes(true)))
      const sum = curve.formatG1(curve.addG1(product, ours))
      assert.equal(toHex(sum), toHex(expected.add(p).toBytes(true)))
      const q = G2.Point.BASE.multiply(toNumber(bytes))
      const multiple = curve.multiplyG2(curve.generatorG2, scalar)
      assert.equal(toHex(curve.formatG2(multiple)), toHex(q.toBytes(true)))
      const gt = toHex(nobleGtBytes(bls12_381.pairing(p, q)))
      assert.equal(toHex(curve.formatGt(curve.pairing(ours, multiple))), gt)
      const prepared = curve.prepareG2(multiple)
      assert.equal(toHex(curve.formatGt(curve.pairingPrepared(ours, prepared))), gt)
      curve.release(prepared)
      const power = curve.power(curve.pairing(ours, curve.generatorG2), scalar)
      assert.equal(toHex(curve.formatGt(power)), gt, 'e(p, g)^s is e(p, s*g)')
    }
  })

  it('reduces wide numbers, adds and multiplies scalars modulo the order', () => {
    const number = fc.bigInt({ min: 0n, max: (1n << 512n) - 1n })
    const valueOf = (scalar: Scalar): bigint => toNumber(curve.formatScalar(scalar))
    const property = fc.property(
      number,
      number,
      fc.constantFrom(32, 48, 64),
      (one, other, size) => {
        const [x, y] = [one, other].map((wide) => BigInt.asUintN(size * 8, wide)) as [
          bigint,
          bigint,
        ]
        const [a, b] = [x, y].map((wide) => curve.scalarFromNumber(bytesOf(wide, size)))
        assert.equal(valueOf(a!), x % ORDER)
        assert.equal(valueOf(curve.addScalars(a!, b!)), (x + y) % ORDER)
        assert.equal(valueOf(curve.multiplyScalars(a!, b!)), (x * y) % ORDER)
      },
    )
    fc.assert(property)
    for (const edge of [0n, 1n, ORDER - 1n, ORDER, ORDER + 1n])
      assert.equal(valueOf(curve.scalarFromNumber(bytesOf(edge, 48))), edge % ORDER)
  })

  it('sums products of points and scalars, of any number and with zeros among them', () => {
    for (const size of [1, 2, 3, 8, 17, 64]) {
      const names = Array.from({ length: size }, (_, at) => `point ${at % 5}`)
      const points = names.map((name) => curve.parseG1(nobleHash(name).toBytes(true))!)
      const numbers = names.map((_, at) => (at % 3 === 2 ? 0n : ORDER - BigInt(at * at)))
      const scalars = numbers.map((number) => curve.scalarFromNumber(bytesOf(number, 48)))
      const expected = names
        .map((name, at) => nobleHash(name).multiplyUnsafe(numbers[at]! % ORDER))
        .reduce((sum, point) => sum.add(point))
      const sum = curve.formatG1(curve.sumOfProductsG1(points, scalars))
      assert.equal(toHex(sum), toHex(expected.toBytes(true)))
    }
  })

  it('tells equal pairings from others, with infinity among them', () => {
    const three = curve.scalarFromNumber(Uint8Array.of(3))
    const zero = curve.scalarFromNumber(Uint8Array.of(0))
    const p = curve.parseG1(nobleHash('p').toBytes(true))!
    const generator = curve.prepareG2(curve.generatorG2)
    const triple = curve.prepareG2(curve.multiplyG2(curve.generatorG2, three))
    const [p3, nothing] = [curve.multiplyG1(p, three), curve.multiplyG1(p, zero)]
    assert.ok(curve.pairingsAreEqual(p3, generator, p, triple))
    assert.ok(curve.pairingsAreEqual(p, triple, p3, generator))
    assert.ok(curve.pairingsAreEqual(p, triple, p, triple))
    assert.ok(curve.pairingsAreEqual(nothing, generator, nothing, triple))
    assert.ok(!curve.pairingsAreEqual(p, generator, p, triple))
    assert.ok(!curve.pairingsAreEqual(p3, triple, p, generator))
    assert.ok(!curve.pairingsAreEqual(nothing, generator, p, triple))
    assert.ok(!curve.pairingsAreEqual(p3, generator, nothing, triple))
    for (const lines of [generator, triple]) curve.release(lines)
  })

  it('takes a point exactly where another implementation takes it for one of the subgroup', () => {
    const changed = (bytes: Uint8Array, bit: number): Uint8Array =>
      Uint8Array.from(bytes, (byte, at) => (at === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte))
    const g1 = G1.Point.BASE.toBytes(true)
    const g2 = G2.Point.BASE.toBytes(true)
    const property = fc.property(fc.nat(767), fc.nat(999), (bit, x) => {
      const small1 = bytesOf(BigInt(x), 48)
      const small2 = bytesOf(BigInt(x), 96)
      small1[0] = small2[0] = 0x80
      for (const bytes of [changed(g1, bit % 384), small1]) {
        assert.equal(curve.parseG1(bytes) !== undefined, nobleTakes(G1, bytes), toHex(bytes))
      }
      for (const bytes of [changed(g2, bit), small2]) {
        assert.equal(curve.parseG2(bytes) !== undefined, nobleTakes(G2, bytes), toHex(bytes))
      }
    })
    fc.assert(property, { numRuns: 100 })
  })

  it('refuses infinity in all its forms, numbers beyond the field, other lengths and the long form', () => {
    const infinity = [0xc0, 0xe0, 0x40].flatMap((flags) => {
      const clean = new Uint8Array(96)
      clean[0] = flags
      const dirty = Uint8Array.from(clean)
      dirty[95] = 1
      return [clean, dirty]
    })
    const beyond = bytesOf(fields.Fp.ORDER, 96)
    beyond.set(bytesOf(fields.Fp.ORDER, 48))
    beyond[0]! |= 0x80
    const long = G2.Point.BASE.toBytes(false)
    for (const bytes of [...infinity, beyond, long, new Uint8Array(0), new Uint8Array(95)]) {
      assert.equal(curve.parseG2(bytes), undefined)
      assert.equal(curve.parseG1(bytes.subarray(0, 48)), undefined)
    }
    const base = G2.Point.BASE.toBytes(true)
    assert.ok(curve.parseG2(base))
    assert.equal(curve.parseG2(Uint8Array.of(...base, 0)), undefined)
  })

  it('random bytes are hardly ever a point, and what is one comes back the same', () => {
    for (let count = 0; count < 50; count++) {
      const bytes = randomBytes(96)
      const point = curve.parseG2(bytes)
      if (point !== undefined) assert.equal(toHex(curve.formatG2(point)), toHex(bytes))
    }
  })

  it('a thread that computes on it refuses BN254', async () => {
    await assert.rejects(loadBn254(), /computes on BLS12-381 already/)
  })
})
