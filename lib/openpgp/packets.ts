// The packets of an encrypted message, counted before the library reads them: RFC 9580 sections 4.2 and 10.3.
import { PermError } from '../errors.ts'
import { MOST_SESSION_KEY_PACKETS } from './limits.ts'

/** RFC 9580 section 5. */
const TAG = { pkesk: 1, skesk: 3, marker: 10, seipd: 18, aead: 20, padding: 21 } as const

interface Packet {
  readonly tag: number
  /** Where the next one begins. */
  readonly end: number
}

/**
 * Where the data begins: it is session keys and then one packet of data that nobody can change unseen, a SEIPD (RFC 9580
 * section 5.13) or what GnuPG wrote before there was a standard. PermError openpgp/decrypt else, and for too many session keys.
 */
export function findData(bytes: Uint8Array): number {
  let keys = 0
  for (let at = 0; at < bytes.length;) {
    const { tag, end } = readPacket(bytes, at)
    if (tag === TAG.seipd || tag === TAG.aead) {
      if (keys === 0 || end !== bytes.length) throw refused()
      return at
    }
    if (tag === TAG.pkesk || tag === TAG.skesk) keys++
    else if (tag !== TAG.marker && tag !== TAG.padding) throw refused()
    if (keys > MOST_SESSION_KEY_PACKETS) throw refused()
    at = end
  }
  throw refused()
}

function readPacket(bytes: Uint8Array, at: number): Packet {
  const first = byteAt(bytes, at)
  if ((first & 0x80) === 0) throw refused()
  return (first & 0x40) === 0
    ? readLegacy(bytes, at, first)
    : { tag: first & 0x3f, end: endOfBody(bytes, at + 1) }
}

/** RFC 9580 section 4.2.2. */
function readLegacy(bytes: Uint8Array, at: number, first: number): Packet {
  const tag = (first >> 2) & 0x0f
  const size = 1 << (first & 3)
  if (size === 8) return { tag, end: bytes.length } // of indeterminate length: to the end
  let length = 0
  for (let octet = 0; octet < size; octet++) length = length * 256 + byteAt(bytes, at + 1 + octet)
  return { tag, end: within(bytes, at + 1 + size + length) }
}

/** RFC 9580 section 4.2.1: one length, or pieces of powers of two and then one length. */
function endOfBody(bytes: Uint8Array, from: number): number {
  let at = from
  for (;;) {
    const first = byteAt(bytes, at)
    if (first < 192) return within(bytes, at + 1 + first)
    if (first < 224)
      return within(bytes, at + 2 + ((first - 192) << 8) + byteAt(bytes, at + 1) + 192)
    if (first === 255) {
      let length = 0
      for (let octet = 1; octet <= 4; octet++) length = length * 256 + byteAt(bytes, at + octet)
      return within(bytes, at + 5 + length)
    }
    at = within(bytes, at + 1 + 2 ** (first & 0x1f))
  }
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === undefined) throw refused()
  return byte
}

function within(bytes: Uint8Array, end: number): number {
  if (end > bytes.length) throw refused()
  return end
}

function refused(): PermError {
  return new PermError('openpgp/decrypt', 'the message does not open')
}
