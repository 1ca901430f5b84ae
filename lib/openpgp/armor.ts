// ASCII armor, RFC 9580 section 6. The library's own is many times slower on messages of megabytes.
import { PermError } from '../errors.ts'
import { base64Of } from '../mail/base64-body.ts'
import { mayHaveChecksum } from './packets.ts'

export type ArmorType = 'MESSAGE' | 'PUBLIC KEY BLOCK' | 'PRIVATE KEY BLOCK' | 'SIGNATURE'

/** What is decoded at once. */
const STEP_BYTES = 64 * 1024

/**
 * CRLF lines of 76 columns, which is the most (RFC 9580 section 6.2). The checksum says nothing, and yet GnuPG 2.2 reads past
 * the end of some blocks without one: RFC 9580 section 6.1. Of several pieces the first has the packets before the data.
 */
export function* writeArmor(
  type: ArmorType,
  bytes: Uint8Array | readonly Uint8Array[],
): Generator<Uint8Array> {
  const pieces = bytes instanceof Uint8Array ? [bytes] : bytes
  const hasChecksum = mayHaveChecksum(pieces[0] ?? new Uint8Array())
  let crc = CRC_START
  const summed = function* (): Generator<Uint8Array> {
    for (const piece of pieces) {
      if (hasChecksum) crc = checksum(crc, piece)
      yield piece
    }
  }
  yield ascii(`-----BEGIN PGP ${type}-----\r\n\r\n`)
  yield* base64Of(summed())
  if (hasChecksum) {
    const text = Buffer.from([crc >> 16, (crc >> 8) & 255, crc & 255]).toString('base64')
    yield ascii(`=${text}\r\n`)
  }
  yield ascii(`-----END PGP ${type}-----\r\n`)
}

/** RFC 9580 section 6.1.1. */
const CRC_START = 0xb704ce

function checksum(start: number, bytes: Uint8Array): number {
  let crc = start
  // An iterator would take three times as long, for megabytes.
  for (let at = 0; at < bytes.length; at++)
    crc = ((crc << 8) ^ CRC_TABLE[((crc >> 16) ^ bytes[at]!) & 255]!) & 0xffffff
  return crc
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 16
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ ((crc & 0x800000) === 0 ? 0 : 0x1864cfb)
  return crc & 0xffffff
})

/** The one block of a text, and nothing else but white space around it. PermError openpgp/decrypt, always with the same text. */
export function readArmor(type: ArmorType, text: Uint8Array): Uint8Array {
  const all = bufferOf(text)
  const head = `-----BEGIN PGP ${type}-----`
  const end = all.lastIndexOf(`-----END PGP ${type}-----`)
  const start = all.indexOf(head)
  const tail = all.subarray(end + head.length - 2).toString('latin1', 0, 1024)
  if (start === -1 || end < start || !isBlank(all.subarray(0, start)) || tail.trim() !== '')
    throw damaged()
  const block = all.subarray(start + head.length, end)
  return decode(withoutHeaders(block))
}

/** Armor headers (`Version: ...`) end at an empty line, RFC 9580 section 6.2.2. */
function withoutHeaders(block: Buffer): Buffer {
  const lines = block.subarray(0, 16 * 1024).toString('latin1')
  const empty = /^[ \t]*\r?\n(?:[!-9;-~]+:[^\n]*\n)*[ \t]*\r?\n/.exec(lines)
  if (!empty) throw damaged()
  return block.subarray(empty[0].length)
}

function decode(block: Buffer): Uint8Array {
  const text = block.subarray(0, block.length - checksumBytes(block))
  const bytes = decodeLines(text) ?? decodeAny(text)
  if (!bytes || bytes.length === 0) throw damaged()
  return bytes
}

/**
 * Lines of whole groups of letters and nothing else, which is what programs write; undefined: it is not that. In steps, so
 * that there is never a second copy of a large message.
 */
function decodeLines(text: Buffer): Buffer | undefined {
  const bytes = Buffer.from(new ArrayBuffer(Math.floor((countLetters(text) * 3) / 4)))
  let length = 0
  for (let from = 0; from < text.length;) {
    const end = text.indexOf(LF, from + STEP_BYTES)
    const to = end === -1 ? text.length : end + 1
    const written = bytes.write(text.toString('latin1', from, to), length, 'base64')
    if (to < text.length && written % 3 !== 0) return undefined
    length += written
    from = to
  }
  // Node skips what is no letter, and then there are too few.
  return length === bytes.length ? bytes : undefined
}

function decodeAny(text: Buffer): Buffer | undefined {
  const whole = text.toString('latin1')
  const bytes = Buffer.from(whole, 'base64')
  const letters = whole.replaceAll(/[\s=]+/g, '').length
  return bytes.length === Math.floor((letters * 3) / 4) ? bytes : undefined
}

/** One that is wrong is no reason to refuse: what matters is inside, and says so (RFC 9580 section 6.1). */
function checksumBytes(block: Buffer): number {
  const tail = block.subarray(-TAIL_BYTES).toString('latin1')
  return /\r?\n=[A-Za-z0-9+/]{4}\s*$/.exec(tail)?.[0].length ?? 0
}

const TAIL_BYTES = 1024

/** Of lines without any other white space. */
function countLetters(text: Buffer): number {
  let count = text.length
  for (let at = text.indexOf(LF); at !== -1; at = text.indexOf(LF, at + 1))
    count -= text[at - 1] === CR ? 2 : 1
  for (let at = text.length - 1; at >= 0 && NO_LETTERS.has(text[at]!); at--)
    if (text[at] === PADDING) count--
  return count
}

const [LF, CR, PADDING] = [0x0a, 0x0d, 0x3d]
const NO_LETTERS: ReadonlySet<number> = new Set([LF, CR, PADDING])

function isBlank(bytes: Buffer): boolean {
  return bytes.length <= 1024 && bytes.toString('latin1').trim() === ''
}

function damaged(): PermError {
  return new PermError('openpgp/decrypt', 'the message does not open')
}

function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
