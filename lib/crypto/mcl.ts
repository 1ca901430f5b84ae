// BLS12-381 by mcl-wasm, as the few operations that the schemes need. Points are compressed as ZCash and Ethereum do.
// mcl has one curve a thread, chosen when it loads, and its operations block for up to milliseconds.
import * as mcl from 'mcl-wasm'
import { parseValue, scalarOperations } from './mcl-values.ts'
import { takeThreadFor } from './one-curve.ts'

export type Scalar = mcl.Fr
export type PointG1 = mcl.G1
export type PointG2 = mcl.G2
export type ElementGt = mcl.GT
/** The lines of a Miller loop for one point of G2, in mcl's own memory until `release`. */
export type PreparedG2 = mcl.PrecomputedG2

const SCALAR_BYTES = 32
export const G1_BYTES = 48
export const G2_BYTES = 96
const GT_BYTES = 576

const FP2_BYTES = 96
const INFINITY_BIT = 0x40
// The generator of G2 that the curve's definition names.
const GENERATOR_G2_HEX =
  '93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e' +
  '024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8'

export interface Bls12381 {
  readonly generatorG2: PointG2
  /** A scalar from 1 to the group's order less 1; anything else is undefined. */
  parseScalar(bytes: Uint8Array): Scalar | undefined
  formatScalar(scalar: Scalar): Uint8Array
  randomScalar(): Scalar
  /** Of a big-endian number of at most 64 bytes, reduced modulo the group's order; may be zero. */
  scalarFromNumber(number: Uint8Array): Scalar
  addScalars(one: Scalar, other: Scalar): Scalar
  multiplyScalars(one: Scalar, other: Scalar): Scalar
  /** A point of the subgroup other than infinity, in the one form that `format` gives; anything else is undefined. */
  parseG1(bytes: Uint8Array): PointG1 | undefined
  parseG2(bytes: Uint8Array): PointG2 | undefined
  /** As `parseG1`, for bytes that one of us has made or checked: the subgroup, which costs most, is not looked at. */
  parseKnownG1(bytes: Uint8Array): PointG1 | undefined
  formatG1(point: PointG1): Uint8Array
  formatG2(point: PointG2): Uint8Array
  /** RFC 9380 map_to_curve and clear_cofactor, for a big-endian number of at most 64 bytes, reduced modulo p. */
  mapToG1(number: Uint8Array): PointG1
  addG1(one: PointG1, other: PointG1): PointG1
  multiplyG1(point: PointG1, scalar: Scalar): PointG1
  /** The sum of each point times its scalar: cheaper than the products alone. As many of both, and at least one. */
  sumOfProductsG1(points: readonly PointG1[], scalars: readonly Scalar[]): PointG1
  multiplyG2(point: PointG2, scalar: Scalar): PointG2
  pairing(p: PointG1, q: PointG2): ElementGt
  prepareG2(q: PointG2): PreparedG2
  release(prepared: PreparedG2): void
  pairingPrepared(p: PointG1, q: PreparedG2): ElementGt
  /** Whether e(p1, q1) is e(p2, q2): two Miller loops and one final exponentiation. */
  pairingsAreEqual(p1: PointG1, q1: PreparedG2, p2: PointG1, q2: PreparedG2): boolean
  power(element: ElementGt, scalar: Scalar): ElementGt
  /** Twelve coefficients of 48 bytes, big-endian, the highest power first: the order of kilic's library and of tlock. */
  formatGt(element: ElementGt): Uint8Array
}

// mcl itself is one instance a thread. A second init would replace the memory under points that were prepared.
let loading: Promise<Bls12381> | undefined

/** Loads mcl for BLS12-381, once a thread. Fails in a thread that has another curve. */
export function loadBls12381(): Promise<Bls12381> {
  loading ??= load()
  return loading
}

async function load(): Promise<Bls12381> {
  takeThreadFor('BLS12-381')
  await mcl.init(mcl.BLS12_381)
  mcl.setETHserialization(true)
  mcl.setMapToMode(mcl.IRTF)
  mcl.verifyOrderG1(true)
  mcl.verifyOrderG2(true)
  const generatorG2 = new mcl.G2()
  generatorG2.deserialize(mcl.fromHexStr(GENERATOR_G2_HEX))
  return { generatorG2, ...scalars, ...points, ...pairings }
}

const scalars = {
  ...scalarOperations,
  parseScalar(bytes: Uint8Array): Scalar | undefined {
    const scalar = parseValue(new mcl.Fr(), bytes, SCALAR_BYTES)
    return scalar?.isZero() === false ? scalar : undefined
  },
  formatScalar: (scalar: Scalar): Uint8Array => scalar.serialize(),
  scalarFromNumber(number: Uint8Array): Scalar {
    const scalar = new mcl.Fr()
    scalar.setBigEndianMod(number)
    return scalar
  },
}

const points = {
  parseG1: (bytes: Uint8Array): PointG1 | undefined => parsePoint(new mcl.G1(), bytes, G1_BYTES),
  parseG2: (bytes: Uint8Array): PointG2 | undefined => parsePoint(new mcl.G2(), bytes, G2_BYTES),
  parseKnownG1(bytes: Uint8Array): PointG1 | undefined {
    mcl.verifyOrderG1(false)
    try {
      return parsePoint(new mcl.G1(), bytes, G1_BYTES)
    } finally {
      mcl.verifyOrderG1(true)
    }
  },
  formatG1: (point: PointG1): Uint8Array => point.serialize(),
  formatG2: (point: PointG2): Uint8Array => point.serialize(),
  mapToG1(number: Uint8Array): PointG1 {
    const u = new mcl.Fp()
    u.setBigEndianMod(number)
    return u.mapToG1()
  },
  addG1: (one: PointG1, other: PointG1): PointG1 => mcl.add(one, other),
  multiplyG1: (point: PointG1, scalar: Scalar): PointG1 => mcl.mul(point, scalar),
  sumOfProductsG1: (all: readonly PointG1[], by: readonly Scalar[]): PointG1 =>
    mcl.mulVec([...all], [...by]),
  multiplyG2: (point: PointG2, scalar: Scalar): PointG2 => mcl.mul(point, scalar),
}

const pairings = {
  pairing: (p: PointG1, q: PointG2): ElementGt => mcl.pairing(p, q),
  prepareG2: (q: PointG2): PreparedG2 => new mcl.PrecomputedG2(q),
  release: (prepared: PreparedG2): void => prepared.destroy(),
  pairingPrepared: (p: PointG1, q: PreparedG2): ElementGt =>
    mcl.finalExp(mcl.precomputedMillerLoop(p, q)),
  pairingsAreEqual: (p1: PointG1, q1: PreparedG2, p2: PointG1, q2: PreparedG2): boolean =>
    mcl.finalExp(mcl.precomputedMillerLoop2(p1, q1, mcl.neg(p2), q2)).isOne(),
  power: (element: ElementGt, scalar: Scalar): ElementGt => mcl.pow(element, scalar),
  formatGt(element: ElementGt): Uint8Array {
    // mcl writes six pairs, lowest power first, and in this serialization each pair highest first.
    const bytes = element.serialize()
    const reversed = new Uint8Array(GT_BYTES)
    for (let at = 0; at < GT_BYTES; at += FP2_BYTES) {
      reversed.set(bytes.subarray(at, at + FP2_BYTES), GT_BYTES - FP2_BYTES - at)
    }
    return reversed
  },
}

function parsePoint<T extends PointG1 | PointG2>(
  point: T,
  bytes: Uint8Array,
  length: number,
): T | undefined {
  // mcl takes infinity with any bytes behind the flags: refused by the flag, before it is read.
  if (((bytes[0] ?? 0) & INFINITY_BIT) !== 0) return undefined
  const parsed = parseValue(point, bytes, length) // on the curve and in the subgroup: verifyOrder above
  return parsed?.isZero() === false ? parsed : undefined
}
