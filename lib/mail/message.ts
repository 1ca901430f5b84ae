// A message as a header that is read and a body that streams. The bytes of both are those that came.
import { findBlankLine, headerLikeLength, parseFields, type Field } from './header.ts'

/** Whatever gives bytes, once. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export interface Message {
  readonly fields: readonly Field[]
  /** CRLF, or nothing when the message has no empty line after its header. */
  readonly separator: Uint8Array
  /** Can be read once. */
  readonly body: AsyncIterable<Uint8Array>
}

const LF = 0x0a
const CRLF = new Uint8Array([0x0d, 0x0a])
const NOTHING = new Uint8Array(0)
/** The empty line is looked for in so many octets; without one in them the header ends there at the latest. */
const HEADER_LIMIT_BYTES = 4 * 1024 * 1024

/** Reads the header and leaves the body in the stream. The pieces in which the source comes make no difference. */
export async function readMessage(source: ByteSource): Promise<Message> {
  const iterator = iterate(source)
  const pieces: Uint8Array[] = []
  let length = 0
  let tail: Uint8Array = NOTHING
  while (length < HEADER_LIMIT_BYTES) {
    const next = await iterator.next()
    if (next.done) break
    pieces.push(next.value)
    // The empty line may lie across pieces: three octets before this one are looked at again.
    const window = Buffer.concat([tail, next.value])
    const start = length - tail.length
    const found = start === 0 ? findBlankLine(window) : laterBlankLine(window)
    length += next.value.length
    if (found !== -1 && start + found + 2 <= HEADER_LIMIT_BYTES) {
      const head = Buffer.concat(pieces)
      const end = start + found
      return {
        fields: parseFields(head.subarray(0, end)),
        separator: CRLF,
        body: rest(head.subarray(end + 2), iterator),
      }
    }
    tail = window.subarray(-3)
  }
  return splitWithoutBlankLine(Buffer.concat(pieces), iterator)
}

function laterBlankLine(window: Buffer): number {
  const at = window.indexOf('\r\n\r\n')
  return at === -1 ? -1 : at + 2
}

function splitWithoutBlankLine(head: Uint8Array, iterator: AsyncIterator<Uint8Array>): Message {
  // Beyond the limit only whole lines: half a name would be no name.
  const looked =
    head.length < HEADER_LIMIT_BYTES
      ? head
      : head.subarray(0, head.lastIndexOf(LF, HEADER_LIMIT_BYTES - 1) + 1)
  const length = headerLikeLength(looked)
  return {
    fields: parseFields(head.subarray(0, length)),
    separator: NOTHING,
    body: rest(head.subarray(length), iterator),
  }
}

async function* iterate(source: ByteSource): AsyncGenerator<Uint8Array> {
  yield* source
}

/** Not a generator: closing one that never started would leave its source open. */
function rest(
  first: Uint8Array,
  iterator: AsyncIterator<Uint8Array>,
): AsyncIterableIterator<Uint8Array> {
  let pending: Uint8Array | undefined = first.length > 0 ? first : undefined
  const body: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => body,
    next: async () => {
      if (pending === undefined) return iterator.next()
      const value = pending
      pending = undefined
      return { done: false, value }
    },
    return: async () => {
      pending = undefined
      await iterator.return?.()
      return { done: true, value: undefined }
    },
  }
  return body
}

/** Lets go of the source of a message that is not read to its end. */
export async function closeBody(message: Pick<Message, 'body'>): Promise<void> {
  await message.body[Symbol.asyncIterator]().return?.()
}

/** The first octets of the body, and the message with its body whole. */
export async function peekBody(
  message: Message,
  sizeBytes: number,
): Promise<{ start: Uint8Array; message: Message }> {
  const iterator = message.body[Symbol.asyncIterator]()
  let start: Uint8Array = NOTHING
  while (start.length < sizeBytes) {
    const next = await iterator.next()
    if (next.done) break
    start = start.length === 0 ? next.value : Buffer.concat([start, next.value])
  }
  return {
    start: start.subarray(0, sizeBytes),
    message: { ...message, body: rest(start, iterator) },
  }
}

/** The whole message again, byte for byte. */
export async function* messageBytes(message: Message): AsyncGenerator<Uint8Array> {
  try {
    yield headerBytes(message.fields, message.separator)
    yield* message.body
  } finally {
    await closeBody(message)
  }
}

/** Where the body begins, in the bytes of a message with this header. */
export function bodyStart({ fields, separator }: Omit<Message, 'body'>): number {
  return fields.reduce((sum, { raw }) => sum + raw.length, separator.length)
}

export function headerBytes(fields: readonly Field[], separator: Uint8Array): Uint8Array {
  return Buffer.concat([...fields.map((field) => field.raw), separator])
}

/** All of it in one piece: for tests, small messages and the command line. */
export async function collect(source: ByteSource): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return Buffer.concat(pieces)
}

const LEAST_BLOCK_BYTES = 1024 * 1024

/** As `collect`, in blocks of a megabyte or more that nobody else has: large mail is never there twice. */
export async function collectBlocks(source: ByteSource): Promise<Uint8Array[]> {
  const blocks: Uint8Array[] = []
  let pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of source) {
    pieces.push(piece)
    length += piece.length
    if (length < LEAST_BLOCK_BYTES) continue
    blocks.push(Buffer.concat(pieces))
    pieces = []
    length = 0
  }
  if (length > 0) blocks.push(Buffer.concat(pieces))
  return blocks
}
