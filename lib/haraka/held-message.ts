// A small message as it was read last, beside its stream: several plugins of ours read one message, and reading it through
// Haraka's stream is dear. What is held counts only while neither stream nor header list have changed.
import type { Field } from '../mail/header.ts'
import type { Message } from '../mail/message.ts'
import type { MessageStream, Transaction } from './api.ts'

/** Larger ones are read again. */
export const HELD_BYTES = 256 * 1024

interface HeldMessage {
  readonly undoRenaming: boolean
  /** The header list that it was merged with, and the size of its stream then. */
  readonly list: readonly string[]
  readonly size: number
  readonly fields: readonly Field[]
  readonly separator: Uint8Array
  readonly body: Buffer
}

const held = new WeakMap<MessageStream, HeldMessage>()

/** undefined: to be read. */
export function heldMessage(transaction: Transaction, undoRenaming: boolean): Message | undefined {
  const found = held.get(transaction.message_stream)
  return found && found.undoRenaming === undoRenaming && isCurrent(found, transaction)
    ? { fields: found.fields, separator: found.separator, body: once(found.body) }
    : undefined
}

/** The message, which is held once its body was read to the end. */
export function holding(
  transaction: Transaction,
  undoRenaming: boolean,
  message: Message,
): Message {
  const { message_stream: stream, header } = transaction
  if (stream.bytes_read > HELD_BYTES || stream.spooling) return message
  const { fields, separator } = message
  const as = {
    undoRenaming,
    list: [...header.header_list],
    size: stream.bytes_read,
    fields,
    separator,
  }
  const body = collecting(message.body, (bytes) => held.set(stream, { ...as, body: bytes }))
  return { fields, separator, body }
}

/** Adds a field on top by `add`, and to what is held. */
export function whileHeld(transaction: Transaction, field: Field, add: () => void): void {
  const { message_stream: stream, header } = transaction
  const found = held.get(stream)
  const isKnown = found !== undefined && isCurrent(found, transaction)
  add()
  if (!isKnown) return
  const list = [...header.header_list]
  held.set(stream, { ...found, list, fields: [field, ...found.fields] })
}

function isCurrent({ size, list }: HeldMessage, { message_stream, header }: Transaction): boolean {
  const now = header.header_list
  return (
    size === message_stream.bytes_read &&
    list.length === now.length &&
    list.every((entry, at) => entry === now[at])
  )
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}

/** The same body; what was read of it is told at its end. Returned early it tells nothing. */
function collecting(
  body: AsyncIterable<Uint8Array>,
  whenRead: (bytes: Buffer) => void,
): AsyncIterableIterator<Uint8Array> {
  const source = body[Symbol.asyncIterator]()
  const pieces: Uint8Array[] = []
  const own: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => own,
    next: async () => {
      const read = await source.next()
      if (read.done) whenRead(Buffer.concat(pieces))
      else pieces.push(read.value)
      return read
    },
    return: async () => (await source.return?.()) ?? { done: true, value: undefined },
  }
  return own
}
