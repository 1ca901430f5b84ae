// The payload of an age file: STREAM over 64 KiB chunks. c2sp.org/age, "Payload"; other ciphers: docs/formats.md section 5.
import { hkdfSha256 } from '../crypto/hkdf.ts'
import { createAeadChunks } from './aead-chunk.ts'
import type { ByteReader } from './byte-reader.ts'
import { cbcKeyBytes, createCbcChunks } from './cbc-chunk.ts'
import type { ChunkCipher } from './chunk-cipher.ts'
import { ContainerError } from './container-error.ts'
import { AGE_SUITE, CBC_CIPHERS, type Suite } from './suite.ts'
import { createTurns } from './turns.ts'

export const PAYLOAD_NONCE_BYTES = 16

const CHUNK_BYTES = 64 * 1024
const AEAD_KEY_BYTES = 32

/** The cipher of one file. The suite is in the key: what was sealed under one never opens under another. */
export function chunkCipher(suite: Suite, fileKey: Uint8Array, nonce: Uint8Array): ChunkCipher {
  const info = new TextEncoder().encode(suite === AGE_SUITE ? 'payload' : `payload\0${suite}`)
  const cbc = CBC_CIPHERS[suite]
  if (cbc) return createCbcChunks(cbc, hkdfSha256(fileKey, nonce, info, cbcKeyBytes(cbc)))
  const name = suite === 'aes-256-gcm' ? suite : AGE_SUITE
  return createAeadChunks(name, hkdfSha256(fileKey, nonce, info, AEAD_KEY_BYTES))
}

/** Seals everything the reader has, and wipes the key. */
export async function* sealChunks(
  reader: ByteReader,
  cipher: ChunkCipher,
): AsyncGenerator<Uint8Array, void, undefined> {
  const turn = createTurns()
  try {
    for (let index = 0, last = false; !last; index++) {
      const chunk = await reader.read(CHUNK_BYTES)
      // Known only by looking ahead: the final chunk may be full, and may be empty only if the file is.
      last = await reader.atEnd()
      yield* cipher.seal(chunkNonce(index, last), chunk)
      await turn(chunk.length * cipher.slowness)
    }
  } finally {
    cipher.wipe()
  }
}

/** Opens everything the reader has, a chunk at a time and each only when its tag is right, and wipes the key. */
export async function* openChunks(
  reader: ByteReader,
  cipher: ChunkCipher,
): AsyncGenerator<Uint8Array, void, undefined> {
  const turn = createTurns()
  try {
    for (let index = 0, last = false; !last; index++) {
      const sealed = await reader.read(CHUNK_BYTES + cipher.overheadBytes)
      last = await reader.atEnd()
      const chunk = cipher.open(chunkNonce(index, last), sealed)
      if (chunk === undefined) return yield* explain(cipher, index, last, sealed)
      if (chunk.length === 0 && index > 0) {
        throw new ContainerError('payload', 'the final chunk is empty')
      }
      // Padding has room for some octets more than a full chunk has.
      if (chunk.length > CHUNK_BYTES) throw new ContainerError('payload', 'a chunk is too long')
      yield chunk
      await turn(chunk.length * cipher.slowness)
    }
  } finally {
    cipher.wipe()
    await reader.close()
  }
}

/**
 * Throws, with the reason. A full chunk that opens with the other flag is authentic but stands in the wrong
 * place: the file was cut after it, or something was put behind it. Such a chunk is still given out first,
 * as the reference implementation does and the public test kit checks.
 */
function* explain(
  cipher: ChunkCipher,
  index: number,
  last: boolean,
  sealed: Uint8Array,
): Generator<Uint8Array, void, undefined> {
  if (sealed.length === CHUNK_BYTES + cipher.overheadBytes) {
    const chunk = cipher.open(chunkNonce(index, !last), sealed)
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
