// Boneh-Franklin FullIdent on BLS12-381 (Boneh, Franklin 2001, section 4.2), hashes and layout as in drand's tlock:
// identity keys in G1, public key in G2. docs/formats.md, "Encryption". Blocks for milliseconds: run it in a worker.
import { createHash, timingSafeEqual } from 'node:crypto'
import { hashToG1 } from '../crypto/hash-to-curve.ts'
import { G2_BYTES } from '../crypto/mcl.ts'
import type { Bls12381, ElementGt, PointG1, PointG2, Scalar } from '../crypto/mcl.ts'
import { PermError } from '../errors.ts'

/** The tag of H1. drand's in its place makes this tlock. */
export const IDENTITY_DST = 'HISHO-V2-BF-H1-BLS12381G1_XMD:SHA-256_SSWU_RO_'

export const KEK_BYTES = 32
export const ENCAPSULATION_BYTES = G2_BYTES + 2 * KEK_BYTES

/** H1: the identity's point, of which the identity key is a multiple. */
export function hashIdentity(curve: Bls12381, identity: string, dst = IDENTITY_DST): PointG1 {
  return hashToG1(curve, new TextEncoder().encode(identity), dst)
}

export interface Sealing {
  /** e(rQ, P) for the public key P: the caller may have P prepared. */
  readonly pairWithPublicKey: (point: PointG1) => ElementGt
  /** H1 of the identity. */
  readonly identityPoint: PointG1
  readonly kek: Uint8Array
  /** Random, 32 bytes, never used twice. */
  readonly sigma: Uint8Array
}

/** U || V || W for the KEK. */
export function sealKek(curve: Bls12381, sealing: Sealing): Uint8Array {
  const { identityPoint, kek, sigma } = sealing
  const r = hashToScalar(curve, sigma, kek)
  // e(rQ, P) is e(Q, P)^r, and a multiplication in G1 costs a third of a power in GT.
  const shared = sealing.pairWithPublicKey(curve.multiplyG1(identityPoint, r))
  const encapsulation = new Uint8Array(ENCAPSULATION_BYTES)
  encapsulation.set(curve.formatG2(curve.multiplyG2(curve.generatorG2, r)))
  encapsulation.set(xor(sigma, hashGt(curve, shared)), G2_BYTES)
  encapsulation.set(xor(kek, hashSigma(sigma)), G2_BYTES + KEK_BYTES)
  r.clear()
  return encapsulation
}

/** The KEK, or the one error of this scheme: it does not say what was wrong. */
export function openKek(
  curve: Bls12381,
  identityKey: PointG1,
  encapsulation: Uint8Array,
): Uint8Array {
  const u = parseU(curve, encapsulation)
  if (u === undefined) throw decryptError()
  const v = encapsulation.subarray(G2_BYTES, G2_BYTES + KEK_BYTES)
  const w = encapsulation.subarray(G2_BYTES + KEK_BYTES)
  const sigma = xor(v, hashGt(curve, curve.pairing(identityKey, u)))
  const kek = xor(w, hashSigma(sigma))
  const r = hashToScalar(curve, sigma, kek)
  // parseG2 takes one encoding of a point only, so equal bytes are equal points.
  const expected = curve.formatG2(curve.multiplyG2(curve.generatorG2, r))
  r.clear()
  sigma.fill(0)
  if (timingSafeEqual(expected, encapsulation.subarray(0, G2_BYTES))) return kek
  kek.fill(0)
  throw decryptError()
}

/** One code and one text for everything that does not open. */
export function decryptError(): PermError {
  return new PermError('ibe/decrypt', 'the encapsulated key does not open')
}

function parseU(curve: Bls12381, encapsulation: Uint8Array): PointG2 | undefined {
  if (encapsulation.length !== ENCAPSULATION_BYTES) return undefined
  return curve.parseG2(encapsulation.subarray(0, G2_BYTES))
}

/** H2. */
function hashGt(curve: Bls12381, element: ElementGt): Uint8Array {
  const bytes = curve.formatGt(element)
  element.clear()
  const hash = createHash('sha256').update('IBE-H2').update(bytes).digest()
  bytes.fill(0)
  return hash
}

/** H3: hashed again under a counter until the number, of 255 bits, is below the group's order. */
function hashToScalar(curve: Bls12381, sigma: Uint8Array, kek: Uint8Array): Scalar {
  const seed = createHash('sha256').update('IBE-H3').update(sigma).update(kek).digest()
  for (let count = 1; count < 0xffff; count++) {
    const counter = Uint8Array.of(count & 0xff, count >> 8) // 16 bits, little-endian, as tlock has it
    const number = createHash('sha256').update(counter).update(seed).digest()
    number[0]! >>= 1
    const scalar = curve.parseScalar(number)
    number.fill(0)
    if (scalar !== undefined) return scalar
  }
  throw new Error('no scalar in 65534 hashes')
}

/** H4. */
function hashSigma(sigma: Uint8Array): Uint8Array {
  return createHash('sha256').update('IBE-H4').update(sigma).digest()
}

function xor(one: Uint8Array, other: Uint8Array): Uint8Array {
  return Uint8Array.from(one, (byte, at) => byte ^ other[at]!)
}
