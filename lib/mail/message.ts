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

const CRLF = new Uint8Array([0x0d, 0x0a])
const NOTHING = new Uint8Array(0)
/** A header that is longer than this is not looked at further: the message is taken to have none. */
const HEADER_LIMIT_BYTES = 4 * 1024 * 1024

/** Reads the header and leaves the body in the stream. */
export async function readMessage(source: ByteSource): Promise<Message> {
  const iterator = iterate(source)
  let head: Uint8Array = NOTHING
  let searched = 0
  for (;;) {
    const next = await iterator.next()
    if (next.done) return splitWithoutBlankLine(head, iterator)
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value])
    // The empty line may lie across two pieces: three bytes of the piece before are looked at again.
    const from = Math.max(0, searched - 3)
    const found = from === 0 ? findBlankLine(head) : findLater(head, from)
    if (found !== -1) {
      return {
        fields: parseFields(head.subarray(0, found)),
        separator: CRLF,
        body: rest(head.subarray(found + 2), iterator),
      }
    }
    searched = head.length
    if (head.length > HEADER_LIMIT_BYTES) return splitWithoutBlankLine(head, iterator)
  }
}

function findLater(head: Uint8Array, from: number): number {
  const at = Buffer.from(head.buffer, head.byteOffset, head.length).indexOf('\r\n\r\n', from)
  return at === -1 ? -1 : at + 2
}

function splitWithoutBlankLine(head: Uint8Array, iterator: AsyncIterator<Uint8Array>): Message {
  const length = headerLikeLength(head)
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

export function headerBytes(fields: readonly Field[], separator: Uint8Array): Uint8Array {
  return Buffer.concat([...fields.map((field) => field.raw), separator])
}

/** All of it in one piece: for tests, small messages and the command line. */
export async function collect(source: ByteSource): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return Buffer.concat(pieces)
}
