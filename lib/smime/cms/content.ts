// The encrypted content itself: AES in CBC and GCM, triple DES to read. RFC 3565, 5084, 3370.
import {
  createCipheriv,
  createDecipheriv,
  type CipherGCM,
  type Decipher,
  type DecipherGCM,
} from 'node:crypto'
import { runInPlace } from '../../crypto/in-place.ts'
import { keepOnly } from '../../mail/large-bytes.ts'
import type { ContentCipher, GcmCipher } from './algorithm.ts'
import type { EncryptedContent } from './enveloped-data.ts'

export const GCM_TAG_BYTES = 16
export const GCM_NONCE_BYTES = 12

type Sealing = Pick<EncryptedContent, 'cipher' | 'iv' | 'authentication'>

/** Written over the ciphertext, which is as it was after undefined: wrong key, altered, or padded badly. */
export function decryptContent(
  sealing: Sealing,
  ciphertext: Uint8Array,
  key: Uint8Array,
): Uint8Array | undefined {
  const { cipher, iv } = sealing
  if (cipher.mode === 'cbc' && ciphertext.length % cipher.blockBytes !== 0) return undefined
  const decipher = decipherFor(sealing, key)
  if (!decipher) return undefined
  runInPlace(decipher, ciphertext)
  const length =
    cipher.mode === 'cbc'
      ? lengthWithoutPadding(ciphertext, cipher.blockBytes)
      : authenticated(decipher, ciphertext.length)
  if (length !== undefined) return ciphertext.subarray(0, length)
  // There may be another key of ours; and nothing of what this one gave is left.
  runInPlace(createCipheriv(cipher.name, key, iv).setAutoPadding(false), ciphertext)
  return undefined
}

/** undefined: a tag that can be nobody's. */
function decipherFor(
  { cipher: { name, mode }, iv, authentication }: Sealing,
  key: Uint8Array,
): Decipher | undefined {
  if (mode === 'cbc') return createDecipheriv(name, key, iv).setAutoPadding(false)
  const { tag, additionalData } = authentication ?? { tag: new Uint8Array(0) }
  try {
    const options = { authTagLength: tag.length }
    const decipher: DecipherGCM = createDecipheriv(name as GcmCipher, key, iv, options)
    decipher.setAuthTag(tag)
    if (additionalData && additionalData.length > 0) decipher.setAAD(additionalData)
    return decipher
  } catch {
    return undefined
  }
}

/** RFC 5652 section 6.3. undefined: it is no padding. */
function lengthWithoutPadding(bytes: Uint8Array, blockBytes: number): number | undefined {
  const count = bytes.at(-1) ?? 0
  if (count === 0 || count > blockBytes) return undefined
  const isPadding = bytes.subarray(-count).every((octet) => octet === count)
  return isPadding ? bytes.length - count : undefined
}

function authenticated(decipher: Decipher, length: number): number | undefined {
  try {
    decipher.final()
    return length
  } catch {
    return undefined
  }
}

/** How long the ciphertext becomes. */
export function sealedBytes({ mode, blockBytes }: ContentCipher, plainBytes: number): number {
  return mode === 'gcm' ? plainBytes : (Math.floor(plainBytes / blockBytes) + 1) * blockBytes
}

export interface Plaintext {
  readonly before?: Uint8Array
  /** Overwritten. */
  readonly content: Uint8Array
  readonly after?: Uint8Array
}

export interface Ciphertext {
  /** In three pieces. */
  readonly pieces: readonly [Uint8Array, Uint8Array, Uint8Array]
  /** Of GCM. */
  readonly tag: Uint8Array | undefined
}

export function encryptContent(
  { name, mode, blockBytes }: ContentCipher,
  key: Uint8Array,
  iv: Uint8Array,
  { before = new Uint8Array(), content, after = new Uint8Array() }: Plaintext,
): Ciphertext {
  const cipher =
    mode === 'cbc'
      ? createCipheriv(name, key, iv)
      : createCipheriv(name as GcmCipher, key, iv, { authTagLength: GCM_TAG_BYTES })
  // In whole blocks, lest what comes out of the content be ahead of what goes in.
  const taken = Math.min(content.length, (blockBytes - (before.length % blockBytes)) % blockBytes)
  const first = cipher.update(Buffer.concat([before, content.subarray(0, taken)]))
  const rest = content.subarray(taken)
  const length = runInPlace(cipher, rest)
  const last = Buffer.concat([cipher.update(after), cipher.final()])
  return {
    pieces: [first, keepOnly(rest.subarray(0, length)), last],
    tag: mode === 'gcm' ? (cipher as CipherGCM).getAuthTag() : undefined,
  }
}
