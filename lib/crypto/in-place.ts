// A cipher that writes its output over its input, so that a large message is there once.
import type { Cipher, Decipher } from 'node:crypto'

/** Output comes as text, one character an octet: Node's arrays of it would all stay until they are collected. */
const STEP_BYTES = 64 * 1024

/** How many octets of output stand at the front now; what `final` gives is the caller's. Of CBC there may be less than came in. */
export function runInPlace(cipher: Cipher | Decipher, bytes: Uint8Array): number {
  const target = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let length = 0
  for (let at = 0; at < bytes.length; at += STEP_BYTES) {
    const text = cipher.update(bytes.subarray(at, at + STEP_BYTES), undefined, 'latin1')
    length += target.write(text, length, 'latin1')
  }
  return length
}
