// ASCII armor, RFC 9580 section 6. The library's own is many times slower on messages of megabytes.
import { PermError } from '../errors.ts'
import { base64Of } from '../mail/base64-body.ts'
import { keepOnly, LARGE_BYTES } from '../mail/large-bytes.ts'
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
  const block = blockIn(type, text)
  return decode(block, Buffer.from(new ArrayBuffer(Math.ceil((block.length * 3) / 4))))
}

/** As `readArmor`; of a large array what comes out takes the place of the text. */
export function takeArmor(type: ArmorType, text: Uint8Array): Uint8Array {
  if (text.length < LARGE_BYTES) return readArmor(type, text)
  const block = blockIn(type, text)
  return keepOnly(decode(block, block))
}

function blockIn(type: ArmorType, text: Uint8Array): Buffer {
  const all = bufferOf(text)
  const head = `-----BEGIN PGP ${type}-----`
  const end = all.lastIndexOf(`-----END PGP ${type}-----`)
  const start = all.indexOf(head)
  const tail = all.subarray(end + head.length - 2).toString('latin1', 0, 1024)
  if (start === -1 || end < start || !isBlank(all.subarray(0, start)) || tail.trim() !== '')
    throw damaged()
  const block = withoutHeaders(all.subarray(start + head.length, end))
  return block.subarray(0, block.length - checksumBytes(block))
}

/** Armor headers (`Version: ...`) end at an empty line, RFC 9580 section 6.2.2. */
function withoutHeaders(block: Buffer): Buffer {
  const lines = block.subarray(0, 16 * 1024).toString('latin1')
  const empty = /^[ \t]*\r?\n(?:[!-9;-~]+:[^\n]*\n)*[ \t]*\r?\n/.exec(lines)
  if (!empty) throw damaged()
  return block.subarray(empty[0].length)
}

/**
 * In steps: there is never a second copy of a large message, and `target` may be the text itself. Lines of whole groups of
 * letters, which is what programs write, are read as they are.
 */
function decode(text: Buffer, target: Buffer): Uint8Array {
  let length = 0
  let rest = ''
  for (let from = 0; from < text.length;) {
    const end = text.indexOf(LF, from + STEP_BYTES)
    const to = end === -1 ? text.length : end + 1
    const expected = (countLetters(text.subarray(from, to)) * 3) / 4
    const lines = text.toString('latin1', from, to) // before it is written over
    from = to
    const written = rest === '' ? target.write(lines, length, 'base64') : -1
    // Node skips what is no letter, and then there are too few.
    if (written === expected) {
      length += written
      continue
    }
    const letters = rest + lines.replaceAll(/\s+/g, '')
    const whole = to < text.length ? letters.length - (letters.length % 4) : letters.length
    length += writeLetters(letters.slice(0, whole), target, length)
    rest = letters.slice(whole)
  }
  if (length === 0) throw damaged()
  return target.subarray(0, length)
}

function writeLetters(letters: string, target: Buffer, at: number): number {
  const written = target.write(letters, at, 'base64')
  const count = letters.replaceAll('=', '').length
  if (written !== Math.floor((count * 3) / 4)) throw damaged()
  return written
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
