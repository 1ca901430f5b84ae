// BB2 a second time, on @noble/curves and node:crypto and from docs/formats.md alone: what the tests hold ours against,
// and what made test/vectors/ibe-bb2.json and bb2-message.json. Curve and pairing are built here from noble's pieces.
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { blsBasic, type BlsPostPrecomputeFn } from '@noble/curves/abstract/bls.js'
import { Field } from '@noble/curves/abstract/modular.js'
import { psiFrobenius, tower12 } from '@noble/curves/abstract/tower.js'
import type { Fp12 as NobleGt, Fp2 as NobleFp2 } from '@noble/curves/abstract/tower.js'
import { weierstrass } from '@noble/curves/abstract/weierstrass.js'

// A Barreto-Naehrig curve is its z: Nogami et al. 2008, "Integer Variable chi-Based Ate Pairing".
const z = -(2n ** 62n + 2n ** 55n + 1n)
const p = 36n * z ** 4n + 36n * z ** 3n + 24n * z ** 2n + 6n * z + 1n
export const ORDER = 36n * z ** 4n + 36n * z ** 3n + 18n * z ** 2n + 6n * z + 1n

// Fp2 = Fp(u), u^2 = -1; Fp6 = Fp2(v), v^3 = 1 + u; Fp12 = Fp6(w), w^2 = v.
const tower = tower12({
  ORDER: p,
  X_LEN: 63,
  FP2_NONRESIDUE: [1n, 1n],
  Fp2mulByB: (num: NobleFp2): NobleFp2 => tower.Fp2.mul(num, twistB),
  Fp12finalExponentiate: (num: NobleGt): NobleGt => finalExponentiation(num),
})
const { Fp, Fp2, Fp6, Fp12 } = tower
const Fr = Field(ORDER)
// y^2 = x^3 + 2, and its twist y^2 = x^3 + 2 / (1 + u).
const twistB = Fp2.div(Fp2.fromBigTuple([2n, 0n]), Fp2.fromBigTuple([1n, 1n]))
const options = { Fn: Fr, allowInfinityPoint: true }
const G1 = weierstrass({ p, n: ORDER, h: 1n, a: 0n, b: 2n, Gx: p - 1n, Gy: 1n }, { ...options, Fp })
const twistCofactor = 2n * p - ORDER
// noble asks for a generator of G2. Nothing here depends on which one it is.
const GENERATOR_G2 = [
  '061a10bb519eb62feb8d8c7e8c61edb6a4648bbb4898bf0d91ee4224c803fb2b',
  '0516aaf9ba737833310aa78c5982aa5b1f4d746bae3784b70d8c34c1e7d54cf3',
  '021897a06baf93439a90e096698c822329bd0ae6bdbe09bd19f0e07891cd2b9a',
  '0ebb2b0e7c8b15268f6d4456f5f38d37b09006ffd739c9578a2d1aec6b3ace9b',
].map((hex) => BigInt(`0x${hex}`)) as [bigint, bigint, bigint, bigint]
const G2 = weierstrass(
  {
    p: Fp2.ORDER,
    n: ORDER,
    h: twistCofactor,
    a: Fp2.ZERO,
    b: twistB,
    Gx: Fp2.fromBigTuple([GENERATOR_G2[0], GENERATOR_G2[1]]),
    Gy: Fp2.fromBigTuple([GENERATOR_G2[2], GENERATOR_G2[3]]),
  },
  { ...options, Fp: Fp2 },
)
export type NobleG1 = InstanceType<typeof G1>
export type NobleG2 = InstanceType<typeof G2>
export type { NobleGt }

const frobenius = psiFrobenius(Fp, Fp2, Fp2.NONRESIDUE)
const lastLines: BlsPostPrecomputeFn = (Rx, Ry, Rz, Qx, Qy, add) => {
  const [x1, y1] = frobenius.psi(Qx, Qy)
  const sum = add(Rx, Ry, Rz, x1, Fp2.neg(y1))
  const [x2, y2] = frobenius.psi(x1, y1)
  add(sum.Rx, sum.Ry, sum.Rz, x2, y2)
}
const curve = blsBasic({ Fp, Fp2, Fp6, Fp12, Fr }, G1, G2, {
  // The optimal ate pairing, f_{6z+2,Q} and two lines more. z is below 0: noble's loop runs to -(6z+2) and conjugates
  // all of it at the end, which for a line is the line through the negatives of its points.
  ateLoopSize: -(6n * z + 2n),
  xNegative: true,
  twistType: 'divisive',
  postPrecompute: lastLines,
})

/** mcl's exponent is the least, (p^12 - 1)/r, times 2z(6z^2 + 3z + 1), after Fuentes-Castaneda, Knapp, Rodriguez 2011. */
function finalExponentiation(num: NobleGt): NobleGt {
  const easy = Fp12.mul(Fp12.conjugate(num), Fp12.inv(num))
  const unitary = Fp12.mul(Fp12.frobeniusMap(easy, 2), easy)
  const least = Fp12.pow(unitary, (p ** 4n - p ** 2n + 1n) / ORDER)
  return Fp12.pow(least, Fr.create(2n * z * (6n * z ** 2n + 3n * z + 1n)))
}

export function noblePairing(one: NobleG1, other: NobleG2): NobleGt {
  return curve.pairing(one, other)
}

export const nobleGt = {
  equal: (one: NobleGt, other: NobleGt): boolean => Fp12.eql(one, other),
  multiply: (one: NobleGt, other: NobleGt): NobleGt => Fp12.mul(one, other),
  power: (one: NobleGt, exponent: bigint): NobleGt => Fp12.pow(one, exponent),
}

export function toNumber(bigEndian: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bigEndian).toString('hex') || '0'}`)
}

function fromNumber(number: bigint): Uint8Array {
  return Buffer.from(number.toString(16).padStart(64, '0'), 'hex')
}

function little(bytes: Uint8Array): bigint {
  return toNumber(bytes.toReversed())
}

/** Numbers of 32 bytes, one behind the other. */
function split(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length / 32 }, (_, at) => bytes.slice(at * 32, at * 32 + 32))
}

/** The digest, little-endian, is cut to 254 bits, and to 253 where it is not below the order. */
export function nobleIdentity(localPart: string): bigint {
  const digest = little(createHash('sha256').update(localPart, 'utf8').digest())
  const cut = BigInt.asUintN(254, digest)
  return cut < ORDER ? cut : BigInt.asUintN(253, cut)
}

/** x, little-endian; the highest bit says that y is odd. */
export function nobleParseG1(bytes: Uint8Array): NobleG1 {
  const x = little(bytes) & (2n ** 255n - 1n)
  const root = Fp.sqrt(Fp.create(x ** 3n + 2n))
  const isOdd = (bytes[31]! & 0x80) !== 0
  const point = G1.fromAffine({ x, y: (root & 1n) === (isOdd ? 1n : 0n) ? root : Fp.neg(root) })
  point.assertValidity()
  return point
}

export function nobleFormatG1(point: NobleG1): Uint8Array {
  const { x, y } = point.toAffine()
  return fromNumber(x | ((y & 1n) << 255n)).toReversed()
}

/** Both parts of x, the real one first; the highest bit says that the real part of y is odd. */
export function nobleParseG2(bytes: Uint8Array): NobleG2 {
  const isOdd = (bytes[63]! & 0x80) !== 0
  const c1 = little(bytes.subarray(32)) & (2n ** 255n - 1n)
  const x: NobleFp2 = { c0: little(bytes.subarray(0, 32)), c1 }
  const root = Fp2.sqrt(Fp2.add(Fp2.mul(Fp2.sqr(x), x), twistB))
  const y = (root.c0 & 1n) === (isOdd ? 1n : 0n) ? root : Fp2.neg(root)
  const point = G2.fromAffine({ x, y })
  point.assertValidity()
  return point
}

export function nobleFormatG2(point: NobleG2): Uint8Array {
  const { x, y } = point.toAffine()
  const high = fromNumber(x.c1 | ((y.c0 & 1n) << 255n)).toReversed()
  return Buffer.concat([fromNumber(x.c0).toReversed(), high])
}

/** Twelve coefficients, the lowest power first. */
function coefficients(element: NobleGt): bigint[] {
  const parts = [element.c0, element.c1].flatMap(({ c0, c1, c2 }) => [c0, c1, c2])
  return parts.flatMap(({ c0, c1 }) => [c0, c1])
}

function fromCoefficients(numbers: readonly bigint[]): NobleGt {
  if (numbers.length !== 12) throw new Error('not twelve coefficients')
  return Fp12.fromBigTwelve(numbers as Parameters<typeof Fp12.fromBigTwelve>[0])
}

export function nobleParseGt(bytes: Uint8Array): NobleGt {
  return fromCoefficients(split(bytes).map(little))
}

export function nobleFormatGt(element: NobleGt): Uint8Array {
  return Buffer.concat(coefficients(element).map((number) => fromNumber(number).toReversed()))
}

export interface NoblePublicKey {
  readonly g: NobleG1
  readonly x: NobleG1
  readonly y: NobleG1
  readonly v: NobleGt
}

/** g || X || Y || v, big-endian as in a record. */
export function nobleParsePublicKey(bytes: Uint8Array): NoblePublicKey {
  const numbers = split(bytes).map(toNumber)
  const point = (at: number): NobleG1 => {
    const parsed = G1.fromAffine({ x: numbers[at]!, y: numbers[at + 1]! })
    parsed.assertValidity()
    return parsed
  }
  return { g: point(0), x: point(2), y: point(4), v: fromCoefficients(numbers.slice(6)) }
}

export interface NobleMasterKey {
  readonly x: bigint
  readonly y: bigint
  readonly h: NobleG2
}

export function nobleParseMasterKey(bytes: Uint8Array): NobleMasterKey {
  const [x, y] = [bytes.subarray(0, 32), bytes.subarray(32, 64)].map(toNumber)
  return { x: x!, y: y!, h: nobleParseG2(bytes.subarray(64)) }
}

export function noblePublicKey(masterKey: Uint8Array, g: NobleG1): Uint8Array {
  const { x, y, h } = nobleParseMasterKey(masterKey)
  const points = [g, g.multiply(x), g.multiply(y)].map((point) => point.toAffine())
  const numbers = [
    ...points.flatMap((point) => [point.x, point.y]),
    ...coefficients(noblePairing(g, h)),
  ]
  return Buffer.concat(numbers.map(fromNumber))
}

export function nobleExtract(masterKey: Uint8Array, localPart: string, r: bigint): Uint8Array {
  const { x, y, h } = nobleParseMasterKey(masterKey)
  const exponent = Fr.inv(Fr.create(nobleIdentity(localPart) + x + r * y))
  return Buffer.concat([nobleFormatG2(h.multiply(exponent)), fromNumber(r)])
}

export interface NobleSealing {
  readonly publicKey: Uint8Array
  readonly localPart: string
  readonly s: bigint
  readonly message: NobleGt
}

export function nobleSeal({ publicKey, localPart, s, message }: NobleSealing): Uint8Array {
  const { g, x, y, v } = nobleParsePublicKey(publicKey)
  const c1 = g.multiply(Fr.mul(s, nobleIdentity(localPart))).add(x.multiply(s))
  const c3 = Fp12.mul(Fp12.pow(v, s), message)
  return Buffer.concat([nobleFormatG1(c1), nobleFormatG1(y.multiply(s)), nobleFormatGt(c3)])
}

/** M. */
export function nobleOpen(identityKey: Uint8Array, encapsulation: Uint8Array): NobleGt {
  const k = nobleParseG2(identityKey.subarray(0, 64))
  const r = toNumber(identityKey.subarray(64))
  const c1 = nobleParseG1(encapsulation.subarray(0, 32))
  const c2 = nobleParseG1(encapsulation.subarray(32, 64))
  const c3 = nobleParseGt(encapsulation.subarray(64))
  return Fp12.div(c3, noblePairing(c1.add(c2.multiply(r)), k))
}

/** The key of the message. */
export function nobleHash(message: NobleGt): Uint8Array {
  return createHash('sha256').update(nobleFormatGt(message)).digest()
}

export interface NoblePayload {
  readonly key: Uint8Array
  readonly encapsulation: Uint8Array
  readonly iv: Uint8Array
  readonly aad: Uint8Array
}

export function nobleSealPayload(payload: NoblePayload, plaintext: Uint8Array): Uint8Array {
  const { key, encapsulation, iv, aad } = payload
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(aad)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return Buffer.concat([encapsulation, iv, aad, cipher.getAuthTag(), ciphertext])
}

export function nobleOpenPayload(identityKey: Uint8Array, payload: Uint8Array): Uint8Array {
  const key = nobleHash(nobleOpen(identityKey, payload.subarray(0, 448)))
  const decipher = createDecipheriv('aes-256-gcm', key, payload.subarray(448, 460))
    .setAAD(payload.subarray(460, 492))
    .setAuthTag(payload.subarray(492, 508))
  return Buffer.concat([decipher.update(payload.subarray(508)), decipher.final()])
}
