// The packets of an encrypted message, counted before the library reads them: RFC 9580 sections 4.2 and 10.3.
import { PermError } from '../errors.ts'
import { MOST_SESSION_KEY_PACKETS } from './limits.ts'

/** RFC 9580 section 5. */
const TAG = {
  pkesk: 1,
  skesk: 3,
  secretKey: 5,
  publicKey: 6,
  marker: 10,
  seipd: 18,
  aead: 20,
  padding: 21,
  signature: 2,
  onePass: 4,
  literal: 11,
} as const

interface Packet {
  readonly tag: number
  /** Where its body begins, or the first piece of it. */
  readonly body: number
  /** Where the next one begins. PermError openpgp/decrypt if that is beyond the bytes. */
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
  if ((first & 0x40) === 0) return readLegacy(bytes, at, first)
  return {
    tag: first & 0x3f,
    body: at + 1 + lengthSize(byteAt(bytes, at + 1)),
    get end() {
      return endOfBody(bytes, at + 1)
    },
  }
}

/** RFC 9580 section 4.2.1. */
function lengthSize(first: number): number {
  if (first === 255) return 5
  return first >= 192 && first < 224 ? 2 : 1
}

/** RFC 9580 section 4.2.2. */
function readLegacy(bytes: Uint8Array, at: number, first: number): Packet {
  const tag = (first >> 2) & 0x0f
  const size = 1 << (first & 3)
  if (size === 8) return { tag, body: at + 1, end: bytes.length } // of indeterminate length: to the end
  let length = 0
  for (let octet = 0; octet < size; octet++) length = length * 256 + byteAt(bytes, at + 1 + octet)
  const body = at + 1 + size
  return {
    tag,
    body,
    get end() {
      return within(bytes, body + length)
    },
  }
}

/** Not around a key of version 6, nor around data of version 2: RFC 9580 section 6.1. Their beginning is enough. */
export function mayHaveChecksum(bytes: Uint8Array): boolean {
  try {
    for (let at = 0; at < bytes.length;) {
      const packet = readPacket(bytes, at)
      const { tag, body } = packet
      if (tag === TAG.secretKey || tag === TAG.publicKey) return bytes[body] !== 6
      if (tag === TAG.seipd) return bytes[body] !== 2
      at = packet.end
    }
  } catch (error) {
    if (!(error instanceof PermError)) throw error
  }
  return true
}

export interface PlainPackets {
  /** What the literal data packet holds, in its pieces. */
  readonly content: readonly Uint8Array[]
  /** Whole packets. */
  readonly signatures: readonly Uint8Array[]
}

/**
 * A literal data packet alone, or between signatures of one pass: RFC 9580 section 10.3. undefined: anything else, such as what
 * is compressed.
 */
export function readPlain(bytes: Uint8Array): PlainPackets | undefined {
  const signatures: Uint8Array[] = []
  let content: Uint8Array[] | undefined
  let announced = 0
  for (let at = 0; at < bytes.length;) {
    const { tag, end } = readPacket(bytes, at)
    if (tag === TAG.onePass && !content) announced++
    else if (tag === TAG.literal && !content) content = literalContent(bodyPieces(bytes, at))
    else if (tag === TAG.signature && content) signatures.push(bytes.subarray(at, end))
    else return undefined
    at = end
  }
  return content && announced === signatures.length ? { content, signatures } : undefined
}

/** RFC 9580 section 5.9: a format, a name with its length, and a date stand before it. */
function literalContent([first = new Uint8Array(), ...more]: readonly Uint8Array[]): Uint8Array[] {
  const start = 2 + byteAt(first, 1) + 4
  if (start > first.length) throw refused() // the first piece has 512 octets, or is the only one
  return [first.subarray(start), ...more]
}

/** What the packet that begins there holds, in the pieces in which it came. */
export function bodyPieces(bytes: Uint8Array, from: number): Uint8Array[] {
  const { body, end } = readPacket(bytes, from)
  if ((byteAt(bytes, from) & 0x40) === 0) return [bytes.subarray(body, end)]
  const pieces: Uint8Array[] = []
  for (let at = from + 1; ;) {
    const first = byteAt(bytes, at)
    const start = at + lengthSize(first)
    if (first < 224 || first === 255) {
      pieces.push(bytes.subarray(start, end))
      return pieces
    }
    at = start + 2 ** (first & 0x1f)
    pieces.push(bytes.subarray(start, at))
  }
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
