// A body of two parts as it comes, the second in pieces: multipart/encrypted, RFC 1847 section 2.2. What readTwoParts takes for
// parts, this does too.
import { ByteWindow } from './byte-window.ts'
import { contentTypeOf } from './content-type.ts'
import { findBlankLine, parseFields, type Field } from './header.ts'
import type { Message } from './message.ts'
import { malformed } from './part-reader.ts'
import { delimiterRest, partOf, type Part } from './two-parts.ts'

/** Of the first part, and of a header. */
const SMALL_BYTES = 64 * 1024
/** What is looked at behind a delimiter. */
const REST_BYTES = 80
const LINE_END_BYTES = 2

export interface PartStream {
  readonly first: Part
  readonly fields: readonly Field[]
  /** Of the second part; a piece is good until the next one is asked for. PermError mail/malformed, while streaming, if it does not end as it must. */
  readonly body: AsyncIterable<Uint8Array>
}

/** PermError mail/malformed if there are not two parts, or more octets than `limit`. */
export async function readPartStream(message: Message, limit: number): Promise<PartStream> {
  const boundary = contentTypeOf(message.fields)?.parameters.get('boundary')
  if (!boundary) throw malformed('boundary: the parameter is missing')
  const reader = new Reader(message.body, `\r\n--${boundary}`, limit)
  for await (const piece of reader.part()) void piece // nobody's content: RFC 2046 section 5.1.1
  if (reader.atEnd) throw malformed('there are not two parts')
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of reader.part()) {
    length += piece.length
    if (length > SMALL_BYTES) throw malformed('a part is longer than it can be')
    pieces.push(Uint8Array.from(piece))
  }
  const first = partOf(Buffer.concat(pieces))
  if (reader.atEnd) throw malformed('there are not two parts')
  return { first, ...(await readHeader(reader)) }
}

async function readHeader(reader: Reader): Promise<Pick<PartStream, 'fields' | 'body'>> {
  const source = reader.part()
  let held: Buffer = Buffer.alloc(0)
  for (;;) {
    const next = await source.next()
    if (next.done) throw malformed('a part without an empty line')
    held = Buffer.concat([held, next.value])
    const end = findBlankLine(held)
    if (end !== -1)
      return {
        fields: parseFields(held.subarray(0, end)),
        body: bodyOf(held.subarray(end + LINE_END_BYTES), source, reader),
      }
    if (held.length > SMALL_BYTES) throw malformed('a header is longer than it can be')
  }
}

async function* bodyOf(
  start: Uint8Array,
  source: AsyncGenerator<Uint8Array>,
  reader: Reader,
): AsyncGenerator<Uint8Array> {
  yield start
  yield* source
  if (!reader.atEnd) throw malformed('there are not two parts')
}

class Reader {
  readonly #source: AsyncIterator<Uint8Array>
  readonly #delimiter: string
  readonly #limit: number
  /** Begins with a line end: that of a delimiter which begins the body. */
  readonly #held = new ByteWindow()
  #length = 0
  #ended = false
  #isFirst = true
  /** The last delimiter has come. */
  atEnd = false

  constructor(body: AsyncIterable<Uint8Array>, delimiter: string, limit: number) {
    this.#source = body[Symbol.asyncIterator]()
    this.#delimiter = delimiter
    this.#limit = limit
    this.#held.append(Buffer.from('\r\n'))
  }

  async #more(): Promise<void> {
    const next = await this.#source.next()
    if (next.done) {
      this.#ended = true
      return
    }
    this.#length += next.value.length
    if (this.#length > this.#limit) throw malformed(`longer than ${this.#limit} octets`)
    this.#held.append(next.value)
  }

  /** Up to the next delimiter. The line end of the one before it, which may be that of the next too, is left out. */
  async *part(): AsyncGenerator<Buffer> {
    let skipped = this.#isFirst ? 0 : LINE_END_BYTES
    this.#isFirst = false
    const take = (length: number): Buffer => {
      const piece = this.#held.take(length).subarray(skipped)
      skipped = Math.max(0, skipped - length)
      return piece
    }
    for (;;) {
      const at = this.#held.bytes.indexOf(this.#delimiter)
      const behind = at + this.#delimiter.length
      if (at === -1) {
        if (this.#ended) throw malformed('it ends before its last delimiter')
        const safe = this.#held.length - this.#delimiter.length
        if (safe > 0) yield take(safe)
        await this.#more()
      } else if (this.#held.length < behind + REST_BYTES && !this.#ended) await this.#more()
      else {
        const rest = delimiterRest(this.#held.bytes, behind)
        yield take(rest === undefined ? at + LINE_END_BYTES : at)
        if (rest === undefined) continue
        this.atEnd = rest.startsWith('--')
        const lineEnd = rest.endsWith('\r\n') ? LINE_END_BYTES : 0
        this.#held.take(this.#delimiter.length + rest.length - lineEnd)
        return
      }
    }
  }
}
