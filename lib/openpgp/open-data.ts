// What a SEIPD of version 1 holds (RFC 9580 section 5.13.1), decrypted where it lies: the library would hold it several times.
// Nothing is given out before all of it is proven.
import { createCipheriv, createDecipheriv, createHash, timingSafeEqual } from 'node:crypto'
import { runInPlace } from '../crypto/in-place.ts'
import { CFB, CFB_BLOCK_BYTES, isOfItsLength, type SessionKey } from './sealed-data.ts'

/** What stands before the packets, and behind them: RFC 9580 section 5.14, with its tag and its length. */
const PREFIX_BYTES = CFB_BLOCK_BYTES + 2
const [MDC_TAG, MDC_LENGTH] = [0xd3, 0x14]
const MDC_BYTES = 22
const HASH_BYTES = 20

/** The packets. undefined: another key, or altered; `ciphertext` is then as it was. */
export function openData(ciphertext: Uint8Array, key: SessionKey): Uint8Array | undefined {
  if (!isOfItsLength(key) || ciphertext.length < PREFIX_BYTES + MDC_BYTES) return undefined
  const { algorithm, data } = key
  const iv = Buffer.alloc(CFB_BLOCK_BYTES)
  runInPlace(createDecipheriv(CFB[algorithm], data, iv), ciphertext)
  const hashed = ciphertext.subarray(0, -HASH_BYTES)
  const hash = createHash('sha1').update(hashed).digest()
  const isMdc = hashed.at(-2) === MDC_TAG && hashed.at(-1) === MDC_LENGTH
  if (timingSafeEqual(hash, ciphertext.subarray(-HASH_BYTES)) && isMdc)
    return ciphertext.subarray(PREFIX_BYTES, -MDC_BYTES)
  runInPlace(createCipheriv(CFB[algorithm], data, iv), ciphertext)
  return undefined
}
