// HKDF with SHA-256: RFC 5869. On HMAC, because Node's hkdfSync takes several times as long and a message needs three.
import { createHmac } from 'node:crypto'

const HASH_BYTES = 32

const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer => {
  const mac = createHmac('sha256', key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}

/** The caller wipes what comes out. An empty salt is the default of RFC 5869 section 2.2. */
export function hkdfSha256(
  ikm: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const extracted = hkdfExtract(salt, ikm)
  const out = hkdfExpand(extracted, info, length)
  extracted.fill(0)
  return out
}

/** RFC 5869 section 2.2. */
export function hkdfExtract(salt: Uint8Array, ikm: Uint8Array): Uint8Array {
  return hmac(salt, ikm)
}

/** RFC 5869 section 2.3. */
export function hkdfExpand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  let block: Uint8Array = new Uint8Array(0)
  // T(i) = HMAC(PRK, T(i-1) | info | i)
  for (let done = 0, index = 1; done < length; done += HASH_BYTES, index++) {
    const next = hmac(prk, block, info, Uint8Array.of(index))
    block.fill(0)
    block = next
    out.set(block.subarray(0, Math.min(HASH_BYTES, length - done)), done)
  }
  block.fill(0)
  return out
}
