// The file key, sealed under another key: docs/formats.md section 5, "Sealed", and c2sp.org/age, "Native
// recipient types". The nonce is zero, so a wrap key must never seal two file keys: a fresh salt sees to that.
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { hkdfSha256 } from '../crypto/hkdf.ts'
import { ContainerError } from './container-error.ts'

export const FILE_KEY_BYTES = 16
export const WRAP_KEY_BYTES = 32
export const SALT_BYTES = 16

const TAG_BYTES = 16
const CIPHER = 'chacha20-poly1305'
const ZERO_NONCE: Uint8Array = new Uint8Array(12)

/** Seals a file key for a stanza of a type of ours, under a key that several messages share. The salt is fresh. */
export function sealFileKey(
  kek: Uint8Array,
  salt: Uint8Array,
  type: string,
  args: readonly [string, string],
  fileKey: Uint8Array,
): Uint8Array {
  return sealUnder(deriveWrapKey(kek, salt, type, args), fileKey)
}

/** undefined: the tag is wrong, because of another key, salt, type or argument, or because it was altered. */
export function openFileKey(
  kek: Uint8Array,
  salt: Uint8Array,
  type: string,
  args: readonly [string, string],
  sealed: Uint8Array,
): Uint8Array | undefined {
  return openUnder(deriveWrapKey(kek, salt, type, args), sealed)
}

/** Seals a file key under a key made for it alone, and wipes that key. */
export function sealUnder(
  wrapKey: Uint8Array,
  fileKey: Uint8Array,
  nonce: Uint8Array = ZERO_NONCE,
): Uint8Array {
  const cipher = createCipheriv(CIPHER, wrapKey, nonce, { authTagLength: TAG_BYTES })
  wrapKey.fill(0)
  const sealed = new Uint8Array(fileKey.length + TAG_BYTES)
  sealed.set(cipher.update(fileKey))
  cipher.final()
  sealed.set(cipher.getAuthTag(), fileKey.length)
  return sealed
}

/** Wipes the wrap key. undefined: the tag is wrong. */
export function openUnder(
  wrapKey: Uint8Array,
  sealed: Uint8Array,
  nonce: Uint8Array = ZERO_NONCE,
): Uint8Array | undefined {
  // Before any decryption, against partitioning oracles: a MUST of c2sp.org/age for every native type.
  if (sealed.length !== FILE_KEY_BYTES + TAG_BYTES) {
    throw new ContainerError('header', 'a sealed file key has a wrong length')
  }
  const decipher = createDecipheriv(CIPHER, wrapKey, nonce, { authTagLength: TAG_BYTES })
  wrapKey.fill(0)
  decipher.setAuthTag(sealed.subarray(FILE_KEY_BYTES))
  const fileKey = decipher.update(sealed.subarray(0, FILE_KEY_BYTES))
  try {
    decipher.final()
  } catch {
    fileKey.fill(0)
    return undefined
  }
  return new Uint8Array(fileKey.buffer, fileKey.byteOffset, fileKey.length)
}

/** The arguments are in the key, so a sealed file key moved to another stanza does not open. RFC 5869. */
function deriveWrapKey(
  kek: Uint8Array,
  salt: Uint8Array,
  type: string,
  args: readonly [string, string],
): Uint8Array {
  const info = new TextEncoder().encode(`${type}\0${args[0]}\0${args[1]}`)
  return hkdfSha256(kek, salt, info, WRAP_KEY_BYTES)
}
