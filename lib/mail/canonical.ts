// The relaxed canonicalization of DKIM, RFC 6376 section 3.4: what of a message is hashed when it is signed.
import { createHash } from 'node:crypto'
import type { Field } from './header.ts'
import type { ByteSource } from './message.ts'

const CR = 0x0d
const LF = 0x0a
const SPACE = 0x20
const TAB = 0x09

/** A field with its last CRLF, RFC 6376 section 3.4.2. */
export function relaxedField(field: Field): Uint8Array {
  const text = Buffer.from(field.raw).toString('latin1') // octets above 127 stay as they are
  const colon = text.indexOf(':')
  return Buffer.from(`${field.name}:${relaxedValue(text.slice(colon + 1))}\r\n`, 'latin1')
}

/** One line of words with single spaces between them. */
const PLAIN_VALUE = /^ ?([^ \t\r\n]+(?: [^ \t\r\n]+)*)\r\n$/

// A bare LF ends a line here too, as it does where the header is cut into fields.
function relaxedValue(text: string): string {
  const [, plain] = PLAIN_VALUE.exec(text) ?? []
  if (plain !== undefined) return plain
  return text
    .replaceAll(/\r?\n/g, '')
    .replaceAll(/[ \t]+/g, ' ')
    .replaceAll(/^ | $/g, '')
}

/**
 * The fields that a list of names stands for, RFC 6376 section 5.4.2: of several with one name the last is meant first.
 * A name that finds no more field stands for nothing, which is how a field that is not there is signed too.
 */
export function fieldsSigned(fields: readonly Field[], names: readonly string[]): Field[] {
  const left = new Map<string, Field[]>()
  for (const field of fields) {
    const same = left.get(field.name)
    if (same) same.push(field)
    else left.set(field.name, [field])
  }
  return names.flatMap((name) => left.get(name)?.pop() ?? [])
}

/** SHA-256 of the body in its relaxed form, read to its end; the pieces in which it comes make no difference. */
export async function relaxedBodyHash(body: ByteSource): Promise<Uint8Array> {
  const hash = createHash('sha256')
  const relaxed = new RelaxedBody((bytes) => hash.update(bytes))
  for await (const piece of body) relaxed.push(piece)
  relaxed.end()
  return hash.digest()
}

/** What does not stay as it is inside of a body. */
const ODDITIES = ['\t', '  ', ' \r']

/** Ends of lines, as many as are written at once. */
const LINES = Buffer.from('\r\n'.repeat(2048), 'latin1')

/** The body in its relaxed form, RFC 6376 section 3.4.4. What it writes may be reused: not to be kept. */
export class RelaxedBody {
  readonly #write: (bytes: Uint8Array) => void
  /** Ends of lines that count only if something follows. */
  #lines = 0
  #space = false
  #cr = false
  #hasContent = false

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write
  }

  push(piece: Uint8Array): void {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length)
    const first = bytes.findIndex(isText)
    if (first === -1) return this.#rewrite(piece)
    // From text to text nothing depends on what comes before or after.
    const last = bytes.findLastIndex(isText)
    this.#rewrite(piece.subarray(0, first + 1))
    if (last > first) this.#write(relaxedText(bytes.subarray(first + 1, last + 1)))
    this.#rewrite(piece.subarray(last + 1))
  }

  #rewrite(piece: Uint8Array): void {
    // Nothing grows but what is still owed from before: ends of lines, which go out by themselves, a space and a CR.
    const out = new Uint8Array(piece.length + 2)
    let length = 0
    const put = (from: number, to: number): void => {
      if (length === 0) this.#writeLines()
      for (; this.#lines > 0; this.#lines--) {
        out[length++] = CR
        out[length++] = LF
      }
      if (this.#space) out[length++] = SPACE
      this.#space = false
      if (this.#cr) out[length++] = CR // a bare one
      this.#cr = false
      for (let at = from; at < to; at++) out[length++] = piece[at]!
    }
    let at = 0
    while (at < piece.length) {
      const byte = piece[at]!
      if (this.#cr && byte === LF) {
        this.#cr = false
        this.#space = false // white space at the end of a line is ignored
        this.#lines++
        at++
      } else if (byte === CR) {
        if (this.#cr) put(at, at)
        this.#cr = true
        at++
      } else if (byte === SPACE || byte === TAB) {
        if (this.#cr) put(at, at)
        this.#space = true
        at++
      } else {
        const end = endOfText(piece, at)
        put(at, end)
        at = end
      }
    }
    if (length === 0) return
    this.#hasContent = true
    this.#write(out.subarray(0, length))
  }

  /** Empty lines at the end are ignored, and a last line without its end gets one; an empty body stays empty. */
  end(): void {
    if (this.#cr) {
      this.#writeLines()
      this.#write(Buffer.from(this.#space ? ' \r' : '\r', 'latin1'))
      this.#hasContent = true
    }
    if (this.#hasContent) this.#write(LINES.subarray(0, 2))
  }

  #writeLines(): void {
    while (this.#lines > 0) {
      const count = Math.min(this.#lines, LINES.length / 2)
      this.#write(LINES.subarray(0, count * 2))
      this.#lines -= count
    }
  }
}

/** What begins behind text and ends with text. Most bodies have nothing odd, and stay as they are. */
function relaxedText(bytes: Buffer): Buffer {
  if (!ODDITIES.some((odd) => bytes.includes(odd))) return bytes
  // Lines with a space at their end, and nothing else: what format=flowed and many programs write.
  if (!bytes.includes('\t') && !bytes.includes('  '))
    return Buffer.from(bytes.toString('latin1').replaceAll(' \r\n', '\r\n'), 'latin1')
  const out = Buffer.allocUnsafe(bytes.length)
  let length = 0
  let space = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte === SPACE || byte === TAB) {
      space = true
      continue
    }
    if (space && (byte !== CR || bytes[at + 1] !== LF)) out[length++] = SPACE
    space = false
    out[length++] = byte
  }
  return out.subarray(0, length)
}

function isText(byte: number): boolean {
  return byte !== CR && byte !== LF && byte !== SPACE && byte !== TAB
}

/** Where the next CR or white space stands. A bare LF is text. */
function endOfText(piece: Uint8Array, from: number): number {
  let at = from
  for (; at < piece.length; at++) {
    const byte = piece[at]
    if (byte === CR || byte === SPACE || byte === TAB) break
  }
  return at
}
