// A chunk under a block cipher in CBC mode: encrypted, then authenticated with HMAC-SHA-256, so that even a weak cipher cannot be
// altered. docs/formats.md section 5; RFC 2104; padding of RFC 5652 section 6.3.
import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto'
import type { ChunkCipher } from './chunk-cipher.ts'
import type { CbcCipher } from './suite.ts'

const MAC_KEY_BYTES = 32
const TAG_BYTES = 32

/** Octets of key material: of the cipher, of the MAC, and of what the initialization vectors are made with. */
export function cbcKeyBytes({ keyBytes }: CbcCipher): number {
  return keyBytes + 2 * MAC_KEY_BYTES
}

/** The material stays the cipher's, which wipes it. */
export function createCbcChunks(cbc: CbcCipher, material: Uint8Array): ChunkCipher {
  const { cipher: name, keyBytes, blockBytes } = cbc
  const key = material.subarray(0, keyBytes)
  const macKey = material.subarray(keyBytes, keyBytes + MAC_KEY_BYTES)
  const ivKey = material.subarray(keyBytes + MAC_KEY_BYTES)
  // Nobody without the key can foretell it, and no two chunks under one key have the same: what CBC asks for.
  const ivOf = (nonce: Uint8Array): Uint8Array =>
    createHmac('sha256', ivKey).update(nonce).digest().subarray(0, blockBytes)
  return {
    overheadBytes: blockBytes + TAG_BYTES, // a full chunk is a whole number of blocks: its padding is one block
    slowness: 16,

    *seal(nonce, chunk) {
      const cipher = createCipheriv(name, key, ivOf(nonce))
      const mac = createHmac('sha256', macKey).update(nonce)
      for (const piece of [cipher.update(chunk), cipher.final()]) {
        mac.update(piece)
        if (piece.length > 0) yield plainView(piece)
      }
      yield plainView(mac.digest())
    },

    open(nonce, sealed) {
      const end = sealed.length - TAG_BYTES
      if (end < blockBytes || end % blockBytes !== 0) return undefined
      const ciphertext = sealed.subarray(0, end)
      const tag = createHmac('sha256', macKey).update(nonce).update(ciphertext).digest()
      // Before a single block is decrypted: no padding of a stranger's is ever looked at.
      if (!timingSafeEqual(tag, sealed.subarray(end))) return undefined
      const decipher = createDecipheriv(name, key, ivOf(nonce))
      const start = decipher.update(ciphertext)
      try {
        return plainView(Buffer.concat([start, decipher.final()]))
      } catch {
        return undefined // who wrote it has the key and pads in a way that is not ours
      } finally {
        start.fill(0)
      }
    },

    wipe: () => void material.fill(0),
  }
}

function plainView(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}
