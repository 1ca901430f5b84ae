// BN254 as mcl calls it (Nogami's Fp254BNb: y^2 = x^3 + 2, about 100 bits of strength), as the few operations that BB2
// needs. Points are compressed as mcl does by itself: coordinates little-endian, the top bit of the last byte is set for
// an odd y. mcl has one curve a thread, and its operations block for up to milliseconds.
import { randomBytes } from 'node:crypto'
import * as mcl from 'mcl-wasm'
import { parseValue, scalarOperations } from './mcl-values.ts'
import { takeThreadFor } from './one-curve.ts'

export type BnScalar = mcl.Fr
export type BnPointG1 = mcl.G1
export type BnPointG2 = mcl.G2
export type BnElementGt = mcl.GT

/** Scalars, field elements and compressed points of G1. */
export const BN_FIELD_BYTES = 32
export const BN_G1_BYTES = 32
export const BN_G2_BYTES = 64
export const BN_GT_BYTES = 384

export interface Bn254 {
  /** Big-endian. A scalar from 1 to the group's order less 1; anything else is undefined. */
  parseScalar(bytes: Uint8Array): BnScalar | undefined
  formatScalar(scalar: BnScalar): Uint8Array
  randomScalar(): BnScalar
  /** mcl's `setHashOf`: docs/formats.md section 1.1. May be zero. */
  hashToScalar(message: Uint8Array): BnScalar
  addScalars(one: BnScalar, other: BnScalar): BnScalar
  multiplyScalars(one: BnScalar, other: BnScalar): BnScalar
  /** Of zero undefined. */
  invertScalar(scalar: BnScalar): BnScalar | undefined
  /** A point other than infinity, in the one form that `format` gives; anything else is undefined. */
  parseG1(bytes: Uint8Array): BnPointG1 | undefined
  formatG1(point: BnPointG1): Uint8Array
  /** Both coordinates, big-endian, 32 bytes each. A point other than infinity; anything else is undefined. */
  parseAffineG1(coordinates: Uint8Array): BnPointG1 | undefined
  formatAffineG1(point: BnPointG1): Uint8Array
  /** A point of the subgroup other than infinity, in the one form that `format` gives; anything else is undefined. */
  parseG2(bytes: Uint8Array): BnPointG2 | undefined
  formatG2(point: BnPointG2): Uint8Array
  randomG1(): BnPointG1
  randomG2(): BnPointG2
  addG1(one: BnPointG1, other: BnPointG1): BnPointG1
  multiplyG1(point: BnPointG1, scalar: BnScalar): BnPointG1
  multiplyG2(point: BnPointG2, scalar: BnScalar): BnPointG2
  pairing(p: BnPointG1, q: BnPointG2): BnElementGt
  /** Twelve coefficients of 32 bytes, little-endian, in mcl's order. An element of GT other than 1, or undefined. */
  parseGt(bytes: Uint8Array): BnElementGt | undefined
  formatGt(element: BnElementGt): Uint8Array
  multiplyGt(one: BnElementGt, other: BnElementGt): BnElementGt
  divideGt(one: BnElementGt, other: BnElementGt): BnElementGt
  /** Only for elements of GT. */
  power(element: BnElementGt, scalar: BnScalar): BnElementGt
}

let loading: Promise<Bn254> | undefined

/** Loads mcl for BN254, once a thread. Fails in a thread that has another curve. */
export function loadBn254(): Promise<Bn254> {
  loading ??= load()
  return loading
}

async function load(): Promise<Bn254> {
  takeThreadFor('BN254')
  await mcl.init(mcl.BN254)
  mcl.verifyOrderG1(true)
  mcl.verifyOrderG2(true)
  return { ...scalars, ...pointsOfG1, ...pointsOfG2, ...target }
}

const scalars = {
  ...scalarOperations,
  parseScalar(bytes: Uint8Array): BnScalar | undefined {
    const reversed = bytes.toReversed()
    const scalar = parseValue(new mcl.Fr(), reversed, BN_FIELD_BYTES)
    reversed.fill(0)
    return scalar?.isZero() === false ? scalar : undefined
  },
  formatScalar: (scalar: BnScalar): Uint8Array => scalar.serialize().toReversed(),
  hashToScalar(message: Uint8Array): BnScalar {
    const scalar = new mcl.Fr()
    scalar.setHashOf(message)
    return scalar
  },
  invertScalar: (scalar: BnScalar): BnScalar | undefined =>
    scalar.isZero() ? undefined : mcl.inv(scalar),
}

const pointsOfG1 = {
  parseG1: (bytes: Uint8Array): BnPointG1 | undefined =>
    pointOf(parseValue(new mcl.G1(), bytes, BN_G1_BYTES)),
  formatG1: (point: BnPointG1): Uint8Array => point.serialize(),
  parseAffineG1(coordinates: Uint8Array): BnPointG1 | undefined {
    if (coordinates.length !== 2 * BN_FIELD_BYTES) return undefined
    const [x, y] = [
      mcl.toHexStr(coordinates.subarray(0, BN_FIELD_BYTES)),
      mcl.toHexStr(coordinates.subarray(BN_FIELD_BYTES)),
    ]
    const point = new mcl.G1()
    try {
      point.setStr(`1 ${x} ${y}`, 16) // refuses what is not on the curve, all of which is the group
    } catch {
      return undefined
    }
    return pointOf(point)
  },
  formatAffineG1(point: BnPointG1): Uint8Array {
    const [, ...coordinates] = point.getStr(16).split(' ')
    return mcl.fromHexStr(coordinates.map((hex) => hex.padStart(2 * BN_FIELD_BYTES, '0')).join(''))
  },
  randomG1(): BnPointG1 {
    const point = new mcl.G1()
    point.setHashOf(randomSeed())
    return point
  },
  addG1: (one: BnPointG1, other: BnPointG1): BnPointG1 => mcl.add(one, other),
  multiplyG1: (point: BnPointG1, scalar: BnScalar): BnPointG1 => mcl.mul(point, scalar),
}

const pointsOfG2 = {
  parseG2: (bytes: Uint8Array): BnPointG2 | undefined =>
    pointOf(parseValue(new mcl.G2(), bytes, BN_G2_BYTES)),
  formatG2: (point: BnPointG2): Uint8Array => point.serialize(),
  randomG2(): BnPointG2 {
    const point = new mcl.G2()
    point.setHashOf(randomSeed())
    return point
  },
  multiplyG2: (point: BnPointG2, scalar: BnScalar): BnPointG2 => mcl.mul(point, scalar),
  pairing: (p: BnPointG1, q: BnPointG2): BnElementGt => mcl.pairing(p, q),
}

const target = {
  parseGt(bytes: Uint8Array): BnElementGt | undefined {
    const element = parseValue(new mcl.GT(), bytes, BN_GT_BYTES)
    if (element === undefined || element.isZero() || element.isOne()) return undefined
    return hasGroupOrder(element) ? element : undefined
  },
  formatGt: (element: BnElementGt): Uint8Array => element.serialize(),
  multiplyGt: (one: BnElementGt, other: BnElementGt): BnElementGt => mcl.mul(one, other),
  divideGt: (one: BnElementGt, other: BnElementGt): BnElementGt => mcl.div(one, other),
  power: (element: BnElementGt, scalar: BnScalar): BnElementGt => mcl.pow(element, scalar),
}

// The order of G1, G2 and GT.
const ORDER_BITS = 0x2523648240000001ba344d8000000007ff9f800000000010a10000000000000dn.toString(2)

/** By plain multiplications: mcl's own power of an element is right only inside of GT. */
function hasGroupOrder(element: BnElementGt): boolean {
  let power = element
  for (const bit of ORDER_BITS.slice(1)) {
    power = mcl.mul(power, power)
    if (bit === '1') power = mcl.mul(power, element)
  }
  return power.isOne()
}

function pointOf<T extends BnPointG1 | BnPointG2>(point: T | undefined): T | undefined {
  return point?.isZero() === false ? point : undefined
}

function randomSeed(): Uint8Array {
  return randomBytes(BN_FIELD_BYTES)
}
