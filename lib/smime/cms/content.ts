// The encrypted content itself: AES in CBC and GCM, triple DES to read. RFC 3565, 5084, 3370.
import { createCipheriv, createDecipheriv, type CipherGCM, type DecipherGCM } from 'node:crypto'
import type { ContentCipher, GcmCipher } from './algorithm.ts'
import type { EncryptedContent } from './enveloped-data.ts'

/** As much as is worked on at once: what comes out is copied into its place and needs no more room. */
const STEP_BYTES = 1024 * 1024
export const GCM_TAG_BYTES = 16
export const GCM_NONCE_BYTES = 12

/** undefined, and nothing of the plaintext is left: wrong key, altered, or padded badly. */
export function decryptContent(
  {
    cipher,
    iv,
    pieces,
    authentication,
  }: Pick<EncryptedContent, 'cipher' | 'iv' | 'pieces' | 'authentication'>,
  key: Uint8Array,
): Uint8Array | undefined {
  const plaintext = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  try {
    const decipher = decipherFor(cipher, key, iv, authentication)
    let length = 0
    const put = (bytes: Uint8Array): void => {
      plaintext.set(bytes, length)
      length += bytes.length
      bytes.fill(0)
    }
    for (const piece of pieces) for (const step of steps(piece)) put(decipher.update(step))
    put(decipher.final())
    return plaintext.subarray(0, length)
  } catch {
    plaintext.fill(0)
    return undefined
  }
}

function decipherFor(
  { name, mode }: ContentCipher,
  key: Uint8Array,
  iv: Uint8Array,
  authentication: EncryptedContent['authentication'],
) {
  if (mode === 'cbc') return createDecipheriv(name, key, iv)
  const { tag, additionalData } = authentication ?? { tag: new Uint8Array(0) }
  const options = { authTagLength: tag.length }
  const decipher: DecipherGCM = createDecipheriv(name as GcmCipher, key, iv, options)
  decipher.setAuthTag(tag)
  if (additionalData && additionalData.length > 0) decipher.setAAD(additionalData)
  return decipher
}

/** How long the ciphertext becomes. */
export function sealedBytes({ mode, blockBytes }: ContentCipher, plainBytes: number): number {
  return mode === 'gcm' ? plainBytes : (Math.floor(plainBytes / blockBytes) + 1) * blockBytes
}

/** Ciphertext into `target`, which has room for it; the tag of GCM is what comes back. */
export function encryptContent(
  { name, mode }: ContentCipher,
  key: Uint8Array,
  iv: Uint8Array,
  plaintext: Uint8Array,
  target: Uint8Array,
): Uint8Array | undefined {
  const cipher =
    mode === 'cbc'
      ? createCipheriv(name, key, iv)
      : createCipheriv(name as GcmCipher, key, iv, { authTagLength: GCM_TAG_BYTES })
  let length = 0
  for (const step of steps(plaintext)) {
    const bytes = cipher.update(step)
    target.set(bytes, length)
    length += bytes.length
  }
  target.set(cipher.final(), length)
  return mode === 'gcm' ? (cipher as CipherGCM).getAuthTag() : undefined
}

function* steps(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += STEP_BYTES) yield bytes.subarray(at, at + STEP_BYTES)
}
