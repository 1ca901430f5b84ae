// ASCII armor, RFC 9580 section 6. The library's own is many times slower on messages of megabytes.
import { PermError } from '../errors.ts'
import { base64Of } from '../mail/base64-body.ts'
import { ByteWindow } from '../mail/byte-window.ts'
import { GrowingBytes } from '../mail/large-bytes.ts'
import { mayHaveChecksum } from './packets.ts'

export type ArmorType = 'MESSAGE' | 'PUBLIC KEY BLOCK' | 'PRIVATE KEY BLOCK' | 'SIGNATURE'

/** What is decoded at once. */
const STEP_BYTES = 64 * 1024
/** Where the headers of a block must end. */
const HEAD_BYTES = 16 * 1024
/** Where its checksum and its last line must stand, and white space behind them. */
const TAIL_BYTES = 2048

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
  const decoder = new Decoder(text.length)
  decoder.end(blockUntilEnd(type, afterHead(type, bufferOf(text))))
  return decoder.take()
}

/** As `readArmor`, of a text as it comes, with no more octets than `limit`. */
export async function readArmorFrom(
  type: ArmorType,
  source: AsyncIterable<Uint8Array>,
  limit: number,
): Promise<Uint8Array> {
  const decoder = new Decoder(limit)
  const held = new ByteWindow()
  let isBegun = false
  for await (const piece of source) {
    held.append(piece)
    if (held.length < HEAD_BYTES + TAIL_BYTES + STEP_BYTES) continue
    if (!isBegun) held.take(held.length - afterHead(type, held.bytes).length)
    isBegun = true
    const safe = held.length - TAIL_BYTES
    const line = held.bytes.lastIndexOf(LF, safe - 1) + 1
    decoder.push(held.take(line > 0 ? line : safe))
  }
  const last = isBegun ? held.bytes : afterHead(type, held.bytes)
  decoder.end(blockUntilEnd(type, last))
  return decoder.take()
}

function afterHead(type: ArmorType, text: Buffer): Buffer {
  const head = `-----BEGIN PGP ${type}-----`
  const start = text.indexOf(head)
  if (start === -1 || !isBlank(text.subarray(0, start))) throw damaged()
  return withoutHeaders(text.subarray(start + head.length))
}

/** Without its checksum. */
function blockUntilEnd(type: ArmorType, text: Buffer): Buffer {
  const mark = `-----END PGP ${type}-----`
  const end = text.lastIndexOf(mark)
  if (end === -1 || !isBlank(text.subarray(end + mark.length))) throw damaged()
  const block = text.subarray(0, end)
  return block.subarray(0, block.length - checksumBytes(block))
}

/** Armor headers (`Version: ...`) end at an empty line, RFC 9580 section 6.2.2. */
function withoutHeaders(block: Buffer): Buffer {
  const lines = block.subarray(0, HEAD_BYTES).toString('latin1')
  const empty = /^[ \t]*\r?\n(?:[!-9;-~]+:[^\n]*\n)*[ \t]*\r?\n/.exec(lines)
  if (!empty) throw damaged()
  return block.subarray(empty[0].length)
}

/** In steps: there is never a second copy of a large message. */
class Decoder {
  readonly #bytes: GrowingBytes
  /** Letters of a group whose others are still to come. */
  #rest = ''

  constructor(limit: number) {
    this.#bytes = new GrowingBytes(limit)
  }

  push(text: Buffer): void {
    for (let from = 0; from < text.length;) {
      const end = text.indexOf(LF, from + STEP_BYTES)
      const to = end === -1 ? text.length : end + 1
      const lines = text.toString('latin1', from, to)
      // What programs write is read as it is: Node passes over the ends of lines.
      const isPlain = this.#rest === '' && PLAIN_LINES.test(lines)
      if (isPlain && countLetters(text.subarray(from, to)) % 4 === 0)
        this.#bytes.appendBase64(lines)
      else this.#pushLetters(lines)
      from = to
    }
  }

  end(text: Buffer): void {
    this.push(text)
    const letters = this.#rest
    this.#rest = ''
    const count = letters.replace(/={1,2}$/, '').length
    if (this.#bytes.appendBase64(letters) !== Math.floor((count * 3) / 4)) throw damaged()
  }

  take(): Uint8Array {
    if (this.#bytes.length === 0) throw damaged()
    return this.#bytes.take()
  }

  #pushLetters(lines: string): void {
    const letters = this.#rest + lines.replaceAll(/\s+/g, '')
    const padded = letters.indexOf('=')
    const whole = padded === -1 ? letters.length : padded
    const length = whole - (whole % 4)
    if (this.#bytes.appendBase64(letters.slice(0, length)) !== (length * 3) / 4) throw damaged()
    this.#rest = letters.slice(length)
    if (this.#rest.length > 4) throw damaged()
  }
}

const PLAIN_LINES = /^[A-Za-z0-9+/\r\n]*$/

/** One that is wrong is no reason to refuse: what matters is inside, and says so (RFC 9580 section 6.1). */
function checksumBytes(block: Buffer): number {
  const tail = block.subarray(-TAIL_BYTES).toString('latin1')
  return /\r?\n=[A-Za-z0-9+/]{4}\s*$/.exec(tail)?.[0].length ?? 0
}

/** Of lines without any other white space. */
function countLetters(text: Buffer): number {
  let count = text.length
  for (let at = text.indexOf(LF); at !== -1; at = text.indexOf(LF, at + 1))
    count -= text[at - 1] === CR ? 2 : 1
  return count
}

const [LF, CR] = [0x0a, 0x0d]

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
