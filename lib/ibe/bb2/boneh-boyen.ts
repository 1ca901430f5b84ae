// The identity-based encryption that its authors call BB2, on BN254: Boneh, Boyen 2004, "Efficient Selective-ID Secure
// Identity-Based Encryption Without Random Oracles", section 5. docs/formats.md, "Version 1.0". Notation additive in G1
// and G2. Blocks for milliseconds: run it in a worker.
import { createHash } from 'node:crypto'
import { BN_FIELD_BYTES, BN_G1_BYTES, BN_G2_BYTES, BN_GT_BYTES } from '../../crypto/bn254.ts'
import type { Bn254, BnElementGt, BnPointG1, BnPointG2, BnScalar } from '../../crypto/bn254.ts'
import { PermError } from '../../errors.ts'
import { malformed } from '../tag-list.ts'
import { PUBLIC_KEY_BYTES } from './parameters.ts'

/** x || y || h. */
const MASTER_KEY_BYTES = 2 * BN_FIELD_BYTES + BN_G2_BYTES
/** K || r. */
const IDENTITY_KEY_BYTES = BN_G2_BYTES + BN_FIELD_BYTES
/** C1 || C2 || C3. */
export const ENCAPSULATION_BYTES = 2 * BN_G1_BYTES + BN_GT_BYTES

const POINT_BYTES = 2 * BN_FIELD_BYTES

export interface PublicKey {
  readonly g: BnPointG1
  /** The record's `X`, x*g. */
  readonly x: BnPointG1
  /** The record's `Y`, y*g. */
  readonly y: BnPointG1
  /** e(g, h). */
  readonly v: BnElementGt
}

/** PermError ibe/parameters names the tag of what cannot be used. */
export function parsePublicKey(curve: Bn254, bytes: Uint8Array): PublicKey {
  if (bytes.length !== PUBLIC_KEY_BYTES) throw malformed('record', 'is not of its length')
  const point = (tag: string, index: number): BnPointG1 => {
    const at = index * POINT_BYTES
    const parsed = curve.parseAffineG1(bytes.subarray(at, at + POINT_BYTES))
    if (parsed === undefined) throw malformed(tag, 'is not a point of BN254')
    return parsed
  }
  const key = { g: point('g', 0), x: point('X', 1), y: point('Y', 2) }
  const v = curve.parseGt(reverseEach(bytes.subarray(3 * POINT_BYTES)))
  if (v === undefined) throw malformed('v', 'is not an element of GT other than 1')
  return { ...key, v }
}

/** A record's numbers are big-endian, mcl's own serialization is not. */
function reverseEach(numbers: Uint8Array): Uint8Array {
  const reversed = Uint8Array.from(numbers)
  for (let at = 0; at < reversed.length; at += BN_FIELD_BYTES) {
    reversed.subarray(at, at + BN_FIELD_BYTES).reverse()
  }
  return reversed
}

export interface KeyPair {
  readonly masterKey: Uint8Array
  readonly publicKey: Uint8Array
}

/** g and h at random, x and y from 1 to the group's order less 1. */
export function generateKeyPair(curve: Bn254): KeyPair {
  const [g, h] = [curve.randomG1(), curve.randomG2()]
  const [x, y] = [curve.randomScalar(), curve.randomScalar()]
  const masterKey = new Uint8Array(MASTER_KEY_BYTES)
  masterKey.set(curve.formatScalar(x))
  masterKey.set(curve.formatScalar(y), BN_FIELD_BYTES)
  masterKey.set(curve.formatG2(h), 2 * BN_FIELD_BYTES)
  const points = [g, curve.multiplyG1(g, x), curve.multiplyG1(g, y)]
  const v = reverseEach(curve.formatGt(curve.pairing(g, h)))
  for (const secret of [x, y, h]) secret.clear()
  return {
    masterKey,
    publicKey: Buffer.concat([...points.map((point) => curve.formatAffineG1(point)), v]),
  }
}

/** ID of the paper: the local part as a scalar. */
export function hashLocalPart(curve: Bn254, localPart: string): BnScalar {
  return curve.hashToScalar(new TextEncoder().encode(localPart))
}

/** K = 1/(ID + x + r*y) * h, and r, which is random: an identity has many keys, and each opens all of its mail. */
export function extract(
  curve: Bn254,
  masterKey: Uint8Array,
  localPart: string,
  r = curve.randomScalar(),
): Uint8Array {
  const { x, y, h } = parseMasterKey(curve, masterKey)
  const sum = curve.addScalars(hashLocalPart(curve, localPart), x)
  const denominator = curve.addScalars(sum, curve.multiplyScalars(r, y))
  const exponent = curve.invertScalar(denominator)
  // The paper tries another r. In 2^254 there is one that has no inverse.
  if (exponent === undefined) throw new Error('a random scalar met the one that has no inverse')
  const key = new Uint8Array(IDENTITY_KEY_BYTES)
  key.set(curve.formatG2(curve.multiplyG2(h, exponent)))
  key.set(curve.formatScalar(r), BN_G2_BYTES)
  for (const secret of [x, y, h, r, sum, denominator, exponent]) secret.clear()
  return key
}

/** Whether these bytes are an identity key under the master key of a public key: e(ID*g + X + r*Y, K) = v. */
export function isIdentityKey(
  curve: Bn254,
  { g, x, y, v }: PublicKey,
  localPart: string,
  identityKey: Uint8Array,
): boolean {
  if (identityKey.length !== IDENTITY_KEY_BYTES) return false
  const k = curve.parseG2(identityKey.subarray(0, BN_G2_BYTES))
  const r = curve.parseScalar(identityKey.subarray(BN_G2_BYTES))
  if (!k || !r) return false
  const identityPoint = curve.addG1(curve.multiplyG1(g, hashLocalPart(curve, localPart)), x)
  const found = curve.pairing(curve.addG1(identityPoint, curve.multiplyG1(y, r)), k)
  for (const secret of [k, r]) secret.clear()
  return Buffer.from(curve.formatGt(found)).equals(curve.formatGt(v))
}

function parseMasterKey(
  curve: Bn254,
  masterKey: Uint8Array,
): { x: BnScalar; y: BnScalar; h: BnPointG2 } {
  const x = curve.parseScalar(masterKey.subarray(0, BN_FIELD_BYTES))
  const y = curve.parseScalar(masterKey.subarray(BN_FIELD_BYTES, 2 * BN_FIELD_BYTES))
  const h = curve.parseG2(masterKey.subarray(2 * BN_FIELD_BYTES))
  if (x && y && h) return { x, y, h }
  throw new PermError('vault/malformed', 'master key: not two scalars and a point of BN254')
}

/** Random, and never used twice. */
export interface Randomness {
  readonly s: BnScalar
  /** M of the paper, the element of GT that is sealed. */
  readonly message: BnElementGt
}

/** v is of prime order and not 1, so that a random power of it is a random element of GT. */
export function randomness(curve: Bn254, { v }: PublicKey): Randomness {
  const exponent = curve.randomScalar()
  const message = curve.power(v, exponent)
  exponent.clear()
  return { s: curve.randomScalar(), message }
}

export interface Encapsulated {
  /** 32 bytes. */
  readonly key: Uint8Array
  readonly encapsulation: Uint8Array
}

/** (s*ID*g + s*X, s*Y, v^s * M), and the key that is the hash of M. Wipes the randomness. */
export function seal(
  curve: Bn254,
  publicKey: PublicKey,
  localPart: string,
  { s, message }: Randomness,
): Encapsulated {
  const { g, x, y, v } = publicKey
  const identityPoint = curve.addG1(curve.multiplyG1(g, hashLocalPart(curve, localPart)), x)
  const encapsulation = new Uint8Array(ENCAPSULATION_BYTES)
  encapsulation.set(curve.formatG1(curve.multiplyG1(identityPoint, s)))
  encapsulation.set(curve.formatG1(curve.multiplyG1(y, s)), BN_G1_BYTES)
  const masked = curve.multiplyGt(curve.power(v, s), message)
  encapsulation.set(curve.formatGt(masked), 2 * BN_G1_BYTES)
  s.clear()
  return { key: hashMessage(curve, message), encapsulation }
}

/**
 * The hash of M = C3 / e(C1 + r*C2, K). Another key than the right one gives another hash: it is for the cipher to find
 * out. PermError ibe/decrypt for what is no encapsulation at all.
 */
export function open(curve: Bn254, identityKey: Uint8Array, encapsulation: Uint8Array): Uint8Array {
  const k = curve.parseG2(identityKey.subarray(0, BN_G2_BYTES))
  const r = curve.parseScalar(identityKey.subarray(BN_G2_BYTES))
  const c1 = curve.parseG1(encapsulation.subarray(0, BN_G1_BYTES))
  const c2 = curve.parseG1(encapsulation.subarray(BN_G1_BYTES, 2 * BN_G1_BYTES))
  const c3 = curve.parseGt(encapsulation.subarray(2 * BN_G1_BYTES))
  if (!k || !r || !c1 || !c2 || !c3) throw decryptError()
  const mask = curve.pairing(curve.addG1(c1, curve.multiplyG1(c2, r)), k)
  const key = hashMessage(curve, curve.divideGt(c3, mask))
  for (const secret of [k, r, mask]) secret.clear()
  return key
}

/** One code and one text for everything that does not open. */
export function decryptError(): PermError {
  return new PermError('ibe/decrypt', 'the message does not open')
}

function hashMessage(curve: Bn254, message: BnElementGt): Uint8Array {
  const bytes = curve.formatGt(message)
  message.clear()
  const hash = createHash('sha256').update(bytes).digest()
  bytes.fill(0)
  return hash
}
