// What a message of version 1 carries: C1 || C2 || C3 || iv || aad || tag || AES-256-GCM ciphertext. docs/formats.md,
// "The message". The tag stands in front, so that it can be opened as a stream and must be held to be sealed.
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  randomBytes,
  type DecipherGCM,
} from 'node:crypto'
import { nowSeconds, type Clock } from '../../clock.ts'
import { PermError } from '../../errors.ts'
import { decryptError, ENCAPSULATION_BYTES } from './boneh-boyen.ts'

const CIPHER = 'aes-256-gcm'
const IV_BYTES = 12
const AAD_BYTES = 32
const TAG_BYTES = 16
const LIMIT_MIB = 64
const LIMIT_BYTES = LIMIT_MIB * 1024 * 1024

/** All that stands before the ciphertext proper. */
export const HEAD_BYTES = ENCAPSULATION_BYTES + IV_BYTES + AAD_BYTES + TAG_BYTES

export interface Head {
  readonly encapsulation: Uint8Array
  readonly iv: Uint8Array
  readonly aad: Uint8Array
  readonly tag: Uint8Array
}

/** PermError ibe/decrypt for what is too short. The parts are copies. */
export function parseHead(bytes: Uint8Array): Head {
  if (bytes.length !== HEAD_BYTES) throw decryptError()
  let at = 0
  const next = (length: number): Uint8Array => {
    at += length
    return Uint8Array.from(bytes.subarray(at - length, at))
  }
  return {
    encapsulation: next(ENCAPSULATION_BYTES),
    iv: next(IV_BYTES),
    aad: next(AAD_BYTES),
    tag: next(TAG_BYTES),
  }
}

/** Names the message. Not its encapsulation, of which anybody can make another one for the same key: BB2 is malleable. */
export function headId({ iv, aad, tag }: Head): string {
  return createHash('sha256').update(iv).update(aad).update(tag).digest('hex')
}

/** 64 bits of unix time and 32 random ones (paper). The key is new for each message, so that no two can meet. */
export function freshIv(clock: Clock): Uint8Array {
  const iv = randomBytes(IV_BYTES)
  iv.writeBigUInt64BE(BigInt(nowSeconds(clock)))
  return iv
}

export function freshAad(): Uint8Array {
  return randomBytes(AAD_BYTES)
}

export interface PayloadSealing extends Omit<Head, 'tag'> {
  /** Stays the caller's. */
  readonly key: Uint8Array
}

/** Holds the whole ciphertext. PermError protection/refused for a plaintext of more than 64 MiB. */
export async function* sealPayload(
  { key, encapsulation, iv, aad }: PayloadSealing,
  plaintext: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const cipher = createCipheriv(CIPHER, key, iv).setAAD(aad)
  const pieces: Uint8Array[] = []
  let sizeBytes = 0
  for await (const piece of plaintext) {
    sizeBytes += piece.length
    if (sizeBytes > LIMIT_BYTES) throw tooLarge()
    pieces.push(cipher.update(piece))
  }
  pieces.push(cipher.final())
  yield Buffer.concat([encapsulation, iv, aad, cipher.getAuthTag()])
  yield* pieces
}

function tooLarge(): PermError {
  const message = `the format of version 1.0 has to be sealed in memory: ${LIMIT_MIB} MiB at most`
  return new PermError('protection/refused', message, {
    peerText: `more than ${LIMIT_MIB} MiB cannot be encrypted in the format of version 1.0`,
  })
}

/** Gives out what is not authenticated yet: it counts only if the end comes without PermError ibe/decrypt. */
export async function* openPayload(
  key: Uint8Array,
  head: Head,
  ciphertext: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const decipher = decipherFor(key, head)
  for await (const piece of ciphertext) yield decipher.update(piece)
  finish(decipher)
}

/** PermError ibe/decrypt. */
export function openWhole(key: Uint8Array, head: Head, ciphertext: Uint8Array): Uint8Array {
  const decipher = decipherFor(key, head)
  const plaintext = decipher.update(ciphertext)
  finish(decipher)
  return plaintext
}

/** The start of what this key would make of it, authentic or not: to choose among keys, and for nothing else. */
export function guessStart(key: Uint8Array, head: Head, ciphertext: Uint8Array): Uint8Array {
  return decipherFor(key, head).update(ciphertext)
}

function decipherFor(key: Uint8Array, { iv, aad, tag }: Head): DecipherGCM {
  const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES })
  return decipher.setAAD(aad).setAuthTag(tag)
}

function finish(decipher: DecipherGCM): void {
  try {
    decipher.final()
  } catch {
    throw decryptError()
  }
}
