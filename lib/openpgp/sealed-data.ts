// Content, and what signs it, as a SEIPD of version 1: RFC 9580 section 5.13.1. The library would hold it several times.
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { runInPlace } from '../crypto/in-place.ts'

export const CFB_BLOCK_BYTES = 16
const TAG = { onePass: 4, literal: 11, seipd: 18, mdc: 19 } as const
const MDC_BYTES = 20

export const CFB = { aes128: 'aes-128-cfb', aes192: 'aes-192-cfb', aes256: 'aes-256-cfb' } as const
const KEY_BYTES = { aes128: 16, aes192: 24, aes256: 32 } as const

export interface SessionKey {
  readonly algorithm: keyof typeof CFB
  readonly data: Uint8Array
}

export function hasCfb(algorithm: string): algorithm is SessionKey['algorithm'] {
  return Object.hasOwn(CFB, algorithm)
}

export function isOfItsLength({ algorithm, data }: SessionKey): boolean {
  return data.length === KEY_BYTES[algorithm]
}

export interface SignaturePackets {
  readonly onePass: Uint8Array
  readonly signature: Uint8Array
}

/** The packet in three pieces, of which the second is `content`, overwritten. */
export function sealData(
  content: Uint8Array,
  packets: SignaturePackets | undefined,
  { algorithm, data }: SessionKey,
): [Uint8Array, Uint8Array, Uint8Array] {
  const random = randomBytes(CFB_BLOCK_BYTES)
  const literal = literalFields()
  const start = Buffer.concat([
    random,
    random.subarray(-2), // RFC 9580 section 5.13.1: what stands in the last two octets, again
    packets?.onePass ?? new Uint8Array(),
    packetStart(TAG.literal, literal.length + content.length),
    literal,
  ])
  const before = [packets?.signature ?? new Uint8Array(), packetStart(TAG.mdc, MDC_BYTES)]
  const hash = createHash('sha1').update(start).update(content)
  for (const bytes of before) hash.update(bytes)
  const end = Buffer.concat([...before, hash.digest()])
  const cipher = createCipheriv(CFB[algorithm], data, Buffer.alloc(CFB_BLOCK_BYTES))
  const length = start.length + content.length + end.length
  const head = Buffer.concat([seipdStart(length), cipher.update(start)])
  start.fill(0)
  runInPlace(cipher, content)
  return [head, content, Buffer.concat([cipher.update(end), cipher.final()])]
}

/** What stands before so many octets of ciphertext. */
export function seipdStart(length: number): Uint8Array {
  return Buffer.concat([packetStart(TAG.seipd, 1 + length), Uint8Array.of(1)])
}

/** RFC 9580 section 5.9: binary, without a name and without a date. */
function literalFields(): Uint8Array {
  return Uint8Array.of(0x62, 0, 0, 0, 0, 0)
}

export interface Signing {
  readonly signatureType: number
  readonly hashAlgorithm: number
  readonly publicKeyAlgorithm: number
  readonly keyId: Uint8Array
}

/** RFC 9580 section 5.4, version 3, the only one: what comes is no further one. */
export function onePassPacket(signing: Signing): Uint8Array {
  const { signatureType, hashAlgorithm, publicKeyAlgorithm, keyId } = signing
  const fields = [3, signatureType, hashAlgorithm, publicKeyAlgorithm, ...keyId, 1]
  return Buffer.concat([packetStart(TAG.onePass, fields.length), Uint8Array.from(fields)])
}

/** RFC 9580 section 4.2.1. */
function packetStart(tag: number, length: number): Uint8Array {
  const first = 0xc0 | tag
  if (length < 192) return Uint8Array.of(first, length)
  if (length < 8384) {
    const rest = length - 192
    return Uint8Array.of(first, 192 + (rest >> 8), rest & 255)
  }
  const start = Buffer.from([first, 255, 0, 0, 0, 0])
  start.writeUInt32BE(length, 2)
  return start
}
