// A chunk under a cipher that authenticates by itself: c2sp.org/age, "Payload" (ChaCha20-Poly1305), and AES-256-GCM in its place.
import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { ChunkCipher } from './chunk-cipher.ts'

export type AeadName = 'chacha20-poly1305' | 'aes-256-gcm'

const TAG_BYTES = 16
const OPTIONS = { authTagLength: TAG_BYTES }

export function createAeadChunks(name: AeadName, key: Uint8Array): ChunkCipher {
  return {
    overheadBytes: TAG_BYTES,
    slowness: 1,

    // Two pieces, ciphertext and tag: to join them would copy every octet once more.
    *seal(nonce, chunk) {
      const cipher =
        name === 'aes-256-gcm'
          ? createCipheriv(name, key, nonce, OPTIONS)
          : createCipheriv(name, key, nonce, OPTIONS)
      const ciphertext = cipher.update(chunk)
      cipher.final()
      if (ciphertext.length > 0) yield plainView(ciphertext)
      yield plainView(cipher.getAuthTag())
    },

    open(nonce, sealed) {
      if (sealed.length < TAG_BYTES) return undefined
      const end = sealed.length - TAG_BYTES
      const decipher =
        name === 'aes-256-gcm'
          ? createDecipheriv(name, key, nonce, OPTIONS)
          : createDecipheriv(name, key, nonce, OPTIONS)
      decipher.setAuthTag(sealed.subarray(end))
      const chunk = decipher.update(sealed.subarray(0, end))
      try {
        decipher.final()
      } catch {
        chunk.fill(0)
        return undefined
      }
      return plainView(chunk)
    },

    wipe: () => void key.fill(0),
  }
}

/** The same octets without Buffer's methods, some of which mean other things than Uint8Array's. */
function plainView(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}
