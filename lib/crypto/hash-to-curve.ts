// Hashing to G1 of BLS12-381: RFC 9380, suite BLS12381G1_XMD:SHA-256_SSWU_RO_ (section 8.8.1); and to its scalars.
import { createHash } from 'node:crypto'
import type { Bls12381, PointG1, Scalar } from './mcl.ts'

const HASH_BYTES = 32
const BLOCK_BYTES = 64
const FIELD_ELEMENT_BYTES = 64 // L of RFC 9380 section 8.8.1
// RFC 9380 section 5.1: L = ceil((ceil(log2(r)) + k) / 8), for the order r of 255 bits and k = 128.
const SCALAR_NUMBER_BYTES = 48
const DST_MAX_BYTES = 255
const OVERSIZE_DST = 'H2C-OVERSIZE-DST-'

/** RFC 9380 section 5.3.1, with SHA-256. */
export function expandMessageXmd(message: Uint8Array, dst: Uint8Array, length: number): Uint8Array {
  const blocks = Math.ceil(length / HASH_BYTES)
  if (blocks > 255 || length > 65_535) throw new RangeError('expand_message_xmd: too long')
  const tag = dst.length > DST_MAX_BYTES ? sha256(utf8(OVERSIZE_DST), dst) : dst // section 5.3.3
  const dstPrime = [tag, Uint8Array.of(tag.length)]
  const size = Uint8Array.of(length >> 8, length & 0xff)
  const b0 = sha256(new Uint8Array(BLOCK_BYTES), message, size, Uint8Array.of(0), ...dstPrime)
  const output = new Uint8Array(blocks * HASH_BYTES)
  let previous = new Uint8Array(HASH_BYTES)
  for (let block = 1; block <= blocks; block++) {
    const mixed = previous.map((byte, at) => byte ^ b0[at]!)
    previous = sha256(mixed, Uint8Array.of(block), ...dstPrime)
    output.set(previous, (block - 1) * HASH_BYTES)
  }
  return output.slice(0, length)
}

/** The two numbers of RFC 9380 section 5.2 for Fp, big-endian, not yet reduced modulo p. */
export function hashToFieldNumbers(
  message: Uint8Array,
  dst: Uint8Array,
): readonly [Uint8Array, Uint8Array] {
  const uniform = expandMessageXmd(message, dst, 2 * FIELD_ELEMENT_BYTES)
  return [uniform.subarray(0, FIELD_ELEMENT_BYTES), uniform.subarray(FIELD_ELEMENT_BYTES)]
}

/** hash_to_curve of RFC 9380 section 3. Clearing the cofactor of each map is clearing that of the sum. */
export function hashToG1(curve: Bls12381, message: Uint8Array, dst: string): PointG1 {
  const [u0, u1] = hashToFieldNumbers(message, utf8(dst))
  return curve.addG1(curve.mapToG1(u0), curve.mapToG1(u1))
}

/** hash_to_field of RFC 9380 section 5.2 with the group's order for p and count = 1: a scalar, which may be zero. */
export function hashToScalar(curve: Bls12381, message: Uint8Array, dst: string): Scalar {
  const uniform = expandMessageXmd(message, utf8(dst), SCALAR_NUMBER_BYTES)
  const scalar = curve.scalarFromNumber(uniform)
  uniform.fill(0)
  return scalar
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return Uint8Array.from(hash.digest())
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
