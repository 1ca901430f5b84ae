// Cha-Cheon signatures on BLS12-381 (Cha, Cheon 2003, section 3): identity keys in G1, public key in G2.
// docs/formats.md, "Signature". Blocks for milliseconds: run it in a worker.
import { randomBytes } from 'node:crypto'
import { hashToG1, hashToScalar } from '../../crypto/hash-to-curve.ts'
import { G1_BYTES } from '../../crypto/mcl.ts'
import type { Bls12381, PointG1, PreparedG2, Scalar } from '../../crypto/mcl.ts'

/** The tag of H1. Not that of encryption: an identity key of one is nothing to the other. */
export const SIGNER_DST = 'HISHO-V2-CC-H1-BLS12381G1_XMD:SHA-256_SSWU_RO_'
/** The tag of H. */
const CHALLENGE_DST = 'HISHO-V2-CC-H-BLS12381FR_XMD:SHA-256_'
/** The signer's own affair: nobody else computes r. */
const NONCE_DST = 'HISHO-V2-CC-R-BLS12381FR_XMD:SHA-256_'

export const SIGNATURE_BYTES = 2 * G1_BYTES
/** Random bytes that go into r. */
const SEED_BYTES = 32
// A batch in which one signature is bad passes with a chance of 2^-128.
const WEIGHT_BYTES = 16

/** H1: the identity's point Q. */
export function hashSigner(curve: Bls12381, identity: string): PointG1 {
  return hashToG1(curve, new TextEncoder().encode(identity), SIGNER_DST)
}

export interface Signing {
  /** D = s*Q. */
  readonly identityKey: PointG1
  /** D as it is written. */
  readonly keyBytes: Uint8Array
  /** Q. */
  readonly signer: PointG1
  readonly digest: Uint8Array
  /** For vectors; random where it is left out. */
  readonly seed?: Uint8Array
}

/** U || V. */
export function sign(curve: Bls12381, signing: Signing): Uint8Array {
  const { identityKey, signer, digest } = signing
  const r = drawNonce(curve, signing)
  const u = curve.formatG1(curve.multiplyG1(signer, r))
  const sum = curve.addScalars(r, challenge(curve, u, digest))
  r.clear()
  const v = curve.formatG1(curve.multiplyG1(identityKey, sum))
  sum.clear()
  return concat(u, v)
}

/**
 * r = hash_to_field(seed || D || m). With D and m in it, a seed that is drawn twice or known gives nothing away: whoever
 * has two signatures with one r, or knows r, has the identity key.
 */
function drawNonce(curve: Bls12381, { keyBytes, digest, seed }: Signing): Scalar {
  const mixed = concat(seed ?? randomBytes(SEED_BYTES), keyBytes, digest)
  const r = hashToScalar(curve, mixed, NONCE_DST)
  mixed.fill(0)
  return r
}

/** H(U || m), for U as it is written. */
function challenge(curve: Bls12381, u: Uint8Array, digest: Uint8Array): Scalar {
  return hashToScalar(curve, concat(u, digest), CHALLENGE_DST)
}

/** The two points that the fixed ones of G2 are paired with. */
export interface Signature {
  readonly u: PointG1
  readonly v: PointG1
  /** H(U || m). */
  readonly h: Scalar
  /** Q. */
  readonly signer: PointG1
}

/** Undefined where U or V is no point of the subgroup other than infinity. */
export function parseSignature(
  curve: Bls12381,
  bytes: Uint8Array,
  digest: Uint8Array,
  signer: PointG1,
): Signature | undefined {
  if (bytes.length !== SIGNATURE_BYTES) return undefined
  const first = bytes.subarray(0, G1_BYTES)
  const u = curve.parseG1(first)
  const v = u && curve.parseG1(bytes.subarray(G1_BYTES))
  return v && { u, v, h: challenge(curve, first, digest), signer }
}

/** The fixed points, prepared. */
export interface VerificationKey {
  readonly generator: PreparedG2
  readonly publicKey: PreparedG2
}

/** e(V, G2) = e(U + h*Q, P). */
export function verify(curve: Bls12381, key: VerificationKey, signature: Signature): boolean {
  const { u, v, h, signer } = signature
  const right = curve.addG1(u, curve.multiplyG1(signer, h))
  return curve.pairingsAreEqual(v, key.generator, right, key.publicKey)
}

/**
 * Whether all of them are good, at least one, by one pair of pairings: the sum of w*V against the sum of w*(U + h*Q), with
 * weights that nobody can foresee. Without them two bad signatures could make up for each other.
 */
export function verifyAll(
  curve: Bls12381,
  key: VerificationKey,
  signatures: readonly Signature[],
): boolean {
  const weights = signatures.map(() => curve.scalarFromNumber(randomBytes(WEIGHT_BYTES)))
  const left = curve.sumOfProductsG1(
    signatures.map(({ v }) => v),
    weights,
  )
  const right = curve.sumOfProductsG1(
    [...signatures.map(({ u }) => u), ...signatures.map(({ signer }) => signer)],
    [...weights, ...signatures.map(({ h }, at) => curve.multiplyScalars(weights[at]!, h))],
  )
  return curve.pairingsAreEqual(left, key.generator, right, key.publicKey)
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
