// The message of a transaction, read byte for byte, and built anew. Leans on the inside of Haraka 3.3's Transaction and
// MessageStream, whose traps are named on the spot; self-test.ts refuses other versions.
import { randomUUID } from 'node:crypto'
import { TempError } from '../errors.ts'
import { headerBytes, readMessage, type Message } from '../mail/message.ts'
import type { Field } from '../mail/header.ts'
import type { MessageStream, PipeOptions, PipeTarget, Transaction } from './api.ts'
import { ByteSink } from './byte-sink.ts'
import { createStuffer, unstuff } from './dot-stuffing.ts'
import { HELD_BYTES, heldMessage, holding } from './held-message.ts'
import { isAuthResults, mergeFields, undoAuthResultsRenaming } from './header-merge.ts'

export interface ReadOptions {
  /** Undo Haraka's renaming of Authentication-Results: for mail of our own users. */
  readonly undoRenaming: boolean
}

/** The message with the edits of other plugins. Its body must be read or returned before the stream is read again. */
export async function readExact(transaction: Transaction, options: ReadOptions): Promise<Message> {
  const { undoRenaming } = options
  return (
    heldMessage(transaction, undoRenaming) ??
    holding(transaction, undoRenaming, await readMerged(transaction, options))
  )
}

async function readMerged(
  transaction: Transaction,
  { undoRenaming }: ReadOptions,
): Promise<Message> {
  const received = await readMessage(receivedBytes(transaction))
  const tooMany = transaction.header_lines.length >= (transaction.cfg.headers?.max_lines ?? 1000)
  const keep = (field: Field): boolean => tooMany || (undoRenaming && isAuthResults(field))
  const fields = mergeFields(received.fields, transaction.header.header_list, keep)
  return {
    fields: undoRenaming ? undoAuthResultsRenaming(fields, received.fields) : fields,
    separator: received.separator,
    body: received.body,
  }
}

async function* receivedBytes(transaction: Transaction): AsyncGenerator<Uint8Array> {
  const added = addedBytes(transaction)
  if (added <= 0) {
    yield* pipeRaw(transaction.message_stream, {})
    return
  }
  const pieces: Uint8Array[] = []
  for await (const piece of pipeRaw(transaction.message_stream, { dot_stuffed: false }))
    pieces.push(piece)
  yield unstuff(withoutRepetition(Buffer.concat(pieces), added))
}

/** Nothing is cut off unless it is just what Haraka adds: an empty line, and the lines before it once more (as UTF-8). */
function withoutRepetition(wire: Buffer, added: number): Buffer {
  const received = wire.subarray(0, wire.length - added)
  const repeated = wire.subarray(wire.length - added + 2)
  const isAddition =
    wire.subarray(wire.length - added, wire.length - added + 2).equals(Buffer.from('\r\n')) &&
    Buffer.from(received.toString('utf8'))
      .subarray(-repeated.length || Infinity)
      .equals(repeated)
  return isAddition ? received : wire
}

/**
 * A message that has no empty line after its header gets one from Haraka, and its body-like lines stand in the stream a
 * second time. data_bytes counts what came over the wire, with the three bytes of the last line and without Haraka's own
 * Received field, which is the first entry of header_lines.
 */
function addedBytes(transaction: Transaction): number {
  const edited = transaction.banner !== null || transaction.body_filters.length > 0
  if (edited || transaction.data_bytes === 0) return 0
  const first = transaction.header_lines[0]
  const own =
    transaction.cfg.headers?.add_received && first?.startsWith('Received:')
      ? Buffer.byteLength(first) + 1
      : 0
  return transaction.message_stream.bytes_read - own - (transaction.data_bytes - 3)
}

/** The stored bytes, header block included: with its `headers` set, a stream gives those in place of the block. */
async function* pipeRaw(stream: MessageStream, options: PipeOptions): AsyncGenerator<Uint8Array> {
  const into = new ByteSink()
  const fail = (error: Error): void => into.fail(error)
  stream.on('error', fail)
  const headers = stream.headers
  try {
    stream.headers = [] // looked at inside pipe() only, before it returns
    try {
      // The stream of our own replaceMessage has a pipe() of its own, which gives the exact header.
      stream.pipe(into, options)
    } finally {
      stream.headers = headers
    }
    yield* into
  } catch (error) {
    throw new TempError('haraka/queue', 'the stored message cannot be read', { cause: error })
  } finally {
    stream.unpipe()
    stream.off('error', fail)
  }
}

/** Haraka's destroy() asks the disk to remove a spool file even where there never was one. */
export function destroyStream(stream: MessageStream): void {
  if (stream.spooling) stream.destroy()
}

/** A transaction that holds the message and nothing else. On failure nothing of it is left, in memory or on disk. */
export async function buildTransaction(
  like: Transaction,
  message: Message,
  { parsesBody = like.parse_body }: { readonly parsesBody?: boolean } = {},
): Promise<Transaction> {
  // A new id is needed: the spool file is named after it and must not exist.
  const TransactionClass = like.constructor as new (uuid: string, cfg: unknown) => Transaction
  const built = new TransactionClass(`${like.uuid}.${randomUUID().slice(0, 8)}`, like.cfg)
  built.parse_body = parsesBody
  if (parsesBody) built.attachment_start_hooks = like.attachment_start_hooks
  const failed = new Promise<never>((_resolve, reject) => {
    built.message_stream.on('error', (error: Error) =>
      reject(new TempError('haraka/queue', 'the message cannot be stored', { cause: error })),
    )
  })
  failed.catch(() => {}) // may come when nobody waits any more
  try {
    await Promise.race([fill(built, message), failed])
    return built
  } catch (error) {
    destroyStream(built.message_stream)
    throw error
  }
}

async function fill(built: Transaction, message: Message): Promise<void> {
  const stuff = createStuffer()
  for (const line of linesOf(stuff(headerBytes(message.fields, new Uint8Array(0)))))
    built.add_data(line)
  built.add_data(Buffer.from('\r\n'))
  if (built.header_pos === 0) built.header_pos = -1 // 0 means "still in the header", even when there is none
  const body = new HeldBody()
  makeExact(built, message, body)
  const stuffBody = createStuffer()
  let incomplete: Buffer = Buffer.alloc(0)
  let bytes = 0
  for await (const piece of message.body) {
    bytes += piece.length
    const stuffed = stuffBody(piece)
    if (!built.parse_body) {
      built.message_stream.add_line(stuffed)
      body.hold(stuffed)
      continue
    }
    body.drop() // a parser may change what it is given
    // Haraka's body parser takes lines, and writes into the buffer it is given.
    for (const line of linesOf(Buffer.concat([incomplete, stuffed]))) {
      if (line.at(-1) === 0x0a) built.add_data(Buffer.from(line))
      else incomplete = Buffer.from(line)
    }
    if (stuffed.at(-1) === 0x0a) incomplete = Buffer.alloc(0)
  }
  if (incomplete.length > 0) built.add_data(incomplete)
  await new Promise<void>((resolve) => built.end_data(resolve))
  built.data_bytes = message.fields.reduce(
    (sum, field) => sum + field.raw.length,
    bytes + message.separator.length,
  )
}

function* linesOf(bytes: Buffer): Generator<Buffer> {
  let from = 0
  while (from < bytes.length) {
    const at = bytes.indexOf(0x0a, from)
    const to = at === -1 ? bytes.length : at + 1
    yield bytes.subarray(from, to)
    from = to
  }
}

/** Makes the stream give the header's very bytes, and still what plugins add or remove later. */
function makeExact(built: Transaction, message: Message, body: HeldBody): void {
  const stream = built.message_stream
  const original = stream.pipe.bind(stream)
  const keep = isAuthResults // Haraka removes all of them after data_post; those inside the message are not its business
  stream.pipe = <T extends PipeTarget>(destination: T, options: PipeOptions = {}): T => {
    if (options.skip_headers || options.clamd_style) return original(destination, options)
    const fields = mergeFields(message.fields, built.header.header_list, keep)
    let head: Buffer = Buffer.from(headerBytes(fields, message.separator))
    const unstuffed =
      !options.ending_dot && (options.dot_stuffed ?? !(options.dot_stuffing ?? false))
    if (!unstuffed) head = createStuffer()(head)
    if (options.line_endings === '\n')
      head = Buffer.from(head.toString('latin1').replaceAll('\r\n', '\n'), 'latin1')
    destination.write(head)
    // As it is on the wire, which is what the outbound queue asks for: a small body is at hand so.
    if (body.pieces && options.dot_stuffed === false && isPlain(options)) {
      for (const piece of body.pieces) destination.write(piece)
      destination.end()
      return destination
    }
    return original(destination, { ...options, skip_headers: true })
  }
}

function isPlain({ ending_dot, line_endings = '\r\n', end = true }: PipeOptions): boolean {
  return !ending_dot && line_endings === '\r\n' && end
}

/** The stuffed body of a small message. */
class HeldBody {
  pieces: Buffer[] | undefined = []
  private bytes = 0

  hold(piece: Buffer): void {
    this.bytes += piece.length
    if (this.bytes > HELD_BYTES) this.pieces = undefined
    this.pieces?.push(piece)
  }

  drop(): void {
    this.pieces = undefined
  }
}
