// The payload of an age file: STREAM with ChaCha20-Poly1305 over 64 KiB chunks. c2sp.org/age, "Payload".
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { hkdfSha256 } from '../crypto/hkdf.ts'
import type { ByteReader } from './byte-reader.ts'
import { ContainerError } from './container-error.ts'
import { createTurns } from './turns.ts'

export const PAYLOAD_NONCE_BYTES = 16

const PAYLOAD_INFO = new TextEncoder().encode('payload')
const CHUNK_BYTES = 64 * 1024
const TAG_BYTES = 16
const CIPHER = 'chacha20-poly1305'

export function derivePayloadKey(fileKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return hkdfSha256(fileKey, nonce, PAYLOAD_INFO, 32)
}

/** Seals everything the reader has, and wipes the key. */
export async function* sealChunks(
  reader: ByteReader,
  key: Uint8Array,
): AsyncGenerator<Uint8Array, void, undefined> {
  const turn = createTurns()
  try {
    for (let index = 0, last = false; !last; index++) {
      const chunk = await reader.read(CHUNK_BYTES)
      // Known only by looking ahead: the final chunk may be full, and may be empty only if the file is.
      last = await reader.atEnd()
      yield* sealChunk(key, chunkNonce(index, last), chunk)
      await turn(chunk.length)
    }
  } finally {
    key.fill(0)
  }
}

/** Opens everything the reader has, a chunk at a time and each only when its tag is right, and wipes the key. */
export async function* openChunks(
  reader: ByteReader,
  key: Uint8Array,
): AsyncGenerator<Uint8Array, void, undefined> {
  const turn = createTurns()
  try {
    for (let index = 0, last = false; !last; index++) {
      const sealed = await reader.read(CHUNK_BYTES + TAG_BYTES)
      last = await reader.atEnd()
      const chunk = openChunk(key, chunkNonce(index, last), sealed)
      if (chunk === undefined) return yield* explain(key, index, last, sealed)
      if (chunk.length === 0 && index > 0) {
        throw new ContainerError('payload', 'the final chunk is empty')
      }
      yield chunk
      await turn(chunk.length)
    }
  } finally {
    key.fill(0)
    await reader.close()
  }
}

/**
 * Throws, with the reason. A full chunk that opens with the other flag is authentic but stands in the wrong
 * place: the file was cut after it, or something was put behind it. Such a chunk is still given out first,
 * as the reference implementation does and the public test kit checks.
 */
function* explain(
  key: Uint8Array,
  index: number,
  last: boolean,
  sealed: Uint8Array,
): Generator<Uint8Array, void, undefined> {
  if (sealed.length === CHUNK_BYTES + TAG_BYTES) {
    const chunk = openChunk(key, chunkNonce(index, !last), sealed)
    if (chunk !== undefined) {
      yield chunk
      const reason = last ? 'the payload is cut off' : 'there is data after the final chunk'
      throw new ContainerError('payload', reason)
    }
  }
  throw new ContainerError('payload', `chunk ${index} was altered or cut off`)
}

/** 11 octets of counter, big-endian, and one that is 1 for the final chunk. */
function chunkNonce(index: number, last: boolean): Uint8Array {
  const nonce = new Uint8Array(12)
  new DataView(nonce.buffer).setBigUint64(3, BigInt(index))
  nonce[11] = last ? 1 : 0
  return nonce
}

/** Two pieces, ciphertext and tag: to join them would copy every octet once more. */
function* sealChunk(
  key: Uint8Array,
  nonce: Uint8Array,
  chunk: Uint8Array,
): Generator<Uint8Array, void, undefined> {
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  const ciphertext = cipher.update(chunk)
  cipher.final()
  if (ciphertext.length > 0) yield plainView(ciphertext)
  yield plainView(cipher.getAuthTag())
}

function openChunk(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < TAG_BYTES) return undefined
  const end = sealed.length - TAG_BYTES
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAuthTag(sealed.subarray(end))
  const chunk = decipher.update(sealed.subarray(0, end))
  try {
    decipher.final()
  } catch {
    chunk.fill(0)
    return undefined
  }
  return plainView(chunk)
}

/** The same octets without Buffer's methods, some of which mean other things than Uint8Array's. */
function plainView(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}
