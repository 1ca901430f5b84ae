// ASCII armor, RFC 9580 section 6. The library's own is many times slower on messages of megabytes.
import { PermError } from '../errors.ts'
import { mayHaveChecksum } from './packets.ts'

export type ArmorType = 'MESSAGE' | 'PUBLIC KEY BLOCK' | 'PRIVATE KEY BLOCK' | 'SIGNATURE'

const COLUMNS = 76 // RFC 9580 section 6.2: no line may be longer
const LINES_AT_ONCE = 1024

/** CRLF lines. The checksum says nothing, and yet GnuPG 2.2 reads past the end of some blocks without one: RFC 9580 section 6.1. */
export function* writeArmor(type: ArmorType, bytes: Uint8Array): Generator<Uint8Array> {
  yield ascii(`-----BEGIN PGP ${type}-----\r\n\r\n`)
  const step = (COLUMNS / 4) * 3 * LINES_AT_ONCE
  for (let from = 0; from < bytes.length; from += step) {
    const text = bufferOf(bytes.subarray(from, from + step)).toString('base64')
    yield ascii(text.replaceAll(/.{1,76}/g, '$&\r\n'))
  }
  if (mayHaveChecksum(bytes)) yield ascii(`=${checksum(bytes).toString('base64')}\r\n`)
  yield ascii(`-----END PGP ${type}-----\r\n`)
}

/** RFC 9580 section 6.1.1. */
function checksum(bytes: Uint8Array): Buffer {
  let crc = 0xb704ce
  for (const byte of bytes) crc = ((crc << 8) ^ CRC_TABLE[(crc >> 16) ^ byte]!) & 0xffffff
  return Buffer.from([crc >> 16, crc >> 8, crc])
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
  // A checksum that is wrong is no reason to refuse: what matters is inside, and says so (RFC 9580 section 6.1).
  const text = block.toString('latin1').replace(/\r?\n=[A-Za-z0-9+/]{4}\s*$/, '')
  const bytes = Buffer.from(text, 'base64')
  const letters = text.replaceAll(/[\s=]+/g, '').length // Node skips what is no letter, and then there are too few
  if (bytes.length === 0 || bytes.length !== Math.floor((letters * 3) / 4)) throw damaged()
  return bytes
}

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
