// A body in base64 as a stream, both ways: RFC 2045 section 6.8.
import { fieldsNamed, fieldValue, type Field } from './header.ts'
import { malformed } from './part-reader.ts'

const LINE_BYTES = 57
const COLUMNS = 76 // of base64, for so many
const BLOCK_BYTES = LINE_BYTES * 1024

/** CRLF lines of 76 columns. */
export async function* encodeBase64(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const lines = new LineEncoder()
  for await (const piece of source) yield* lines.push(piece)
  yield* lines.end()
}

/** As `encodeBase64`, of what is there already. */
export function* base64Of(source: Iterable<Uint8Array>): Generator<Uint8Array> {
  const lines = new LineEncoder()
  for (const piece of source) yield* lines.push(piece)
  yield* lines.end()
}

class LineEncoder {
  /** Less than a block. */
  #pending: Buffer = Buffer.alloc(0)

  end(): Uint8Array[] {
    return this.#pending.length > 0 ? [base64Lines(this.#pending)] : []
  }

  /** A piece may be a whole message: no more of it is copied than what is left of a block. */
  *push(piece: Uint8Array): Generator<Uint8Array> {
    let bytes = asBuffer(piece)
    if (this.#pending.length > 0) {
      const missing = BLOCK_BYTES - this.#pending.length
      this.#pending = Buffer.concat([this.#pending, bytes.subarray(0, missing)])
      bytes = bytes.subarray(missing)
      if (this.#pending.length < BLOCK_BYTES) return
      yield base64Lines(this.#pending)
    }
    let at = 0
    for (; at + BLOCK_BYTES <= bytes.length; at += BLOCK_BYTES)
      yield base64Lines(bytes.subarray(at, at + BLOCK_BYTES))
    this.#pending = bytes.subarray(at)
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function base64Lines(bytes: Buffer): Uint8Array {
  const encoded = bytes.toString('base64')
  const lines = Math.ceil(encoded.length / COLUMNS)
  const out = Buffer.allocUnsafe(encoded.length + lines * 2)
  // To the end of its room, from where each line moves to its place: no further array is made, and left as garbage.
  out.write(encoded, lines * 2, 'latin1')
  let to = 0
  for (let from = lines * 2; from < out.length; from += COLUMNS) {
    const end = Math.min(from + COLUMNS, out.length)
    out.copyWithin(to, from, end)
    to += end - from
    out[to++] = 0x0d
    out[to++] = 0x0a
  }
  return out
}

/** Whether a header says so, once. */
export function isInBase64(fields: readonly Field[]): boolean {
  const encoding = fieldsNamed(fields, 'content-transfer-encoding').map(fieldValue)
  return encoding.length === 1 && encoding[0]?.toLowerCase() === 'base64'
}

/** White space is left out wherever it stands. PermError mail/malformed, while streaming, for what is no base64. */
export async function* decodeBase64(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pending = ''
  let ended = false
  for await (const piece of source) {
    pending += asBuffer(piece)
      .toString('latin1')
      .replaceAll(/[\r\n\t ]+/g, '')
    const whole = pending.length - (pending.length % 4)
    if (whole === 0) continue
    if (ended) throw malformed('base64: more after its end')
    const text = pending.slice(0, whole)
    ended = text.endsWith('=')
    yield decodeExactly(text)
    pending = pending.slice(whole)
  }
  if (pending !== '') throw malformed('base64: cut off')
}

// Node skips what is not base64, and the length then tells; but it takes the alphabet of URLs too.
function decodeExactly(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  if (bytes.length !== (text.length / 4) * 3 - padding || /[-_]/.test(text))
    throw malformed('base64: a character that is none')
  return bytes
}
