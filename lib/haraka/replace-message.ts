// The message of a transaction with another one in its place, or with a field on top, byte for byte.
import { TempError } from '../errors.ts'
import type { Field } from '../mail/header.ts'
import type { Message } from '../mail/message.ts'
import type { Transaction } from './api.ts'
import { buildTransaction, destroyStream, readExact } from './exact-message.ts'
import { isKeptExactly } from './header-merge.ts'
import { whileHeld } from './held-message.ts'
import type { Deadline } from './hook.ts'

/**
 * Puts a field on top. Where Haraka's own way with header lines is not exact the whole message is replaced, so that what a
 * signature was made over is what is delivered; `message` has the fields that were signed.
 */
export async function prependField(
  transaction: Transaction,
  field: Field,
  message: Pick<Message, 'fields'>,
  deadline: Deadline,
): Promise<void> {
  if (message.fields.every(isKeptExactly)) {
    const [name = ''] = Buffer.from(field.raw).toString('latin1').split(':', 1)
    const value = Buffer.from(field.raw)
      .toString('latin1')
      .slice(name.length + 1)
    whileHeld(transaction, field, () =>
      transaction.add_leading_header(name, value.trim().replaceAll('\r\n', '\n')),
    )
    return
  }
  const again = await readExact(transaction, { undoRenaming: true })
  await replaceMessage(transaction, { ...again, fields: [field, ...again.fields] }, deadline)
}

/**
 * As `replaceMessage`, for a message that may yet prove to be damaged: plugins that are handed its parts while it is put
 * together get none before its last octet was read.
 */
export async function replaceWhenRead(
  transaction: Transaction,
  message: Message,
  deadline: Deadline,
  beforeSwap: () => Promise<void>,
): Promise<void> {
  if (!transaction.parse_body) return replaceMessage(transaction, message, deadline, beforeSwap)
  const whole = await buildTransaction(transaction, message, { parsesBody: false })
  try {
    const proven = await readExact(whole, { undoRenaming: false })
    await replaceMessage(transaction, proven, deadline, beforeSwap)
  } finally {
    destroyStream(whole.message_stream)
  }
}

/**
 * Puts the message in the place of the transaction's own, as if it had been received so. All or nothing: until it is
 * complete, and unless the deadline has passed, the transaction stays as it was. `beforeSwap` can read the old
 * message once more; what it throws stops the replacement.
 */
export async function replaceMessage(
  transaction: Transaction,
  message: Message,
  deadline: Deadline,
  beforeSwap?: () => Promise<void>,
): Promise<void> {
  const built = await buildTransaction(transaction, message)
  try {
    await beforeSwap?.()
    if (deadline.passed)
      throw new TempError('haraka/deadline', 'the deadline passed while the message was rewritten')
  } catch (error) {
    destroyStream(built.message_stream)
    throw error
  }
  const old = transaction.message_stream
  transaction.header = built.header
  transaction.header_lines = built.header_lines
  transaction.header_pos = built.header_pos
  transaction.found_hb_sep = built.found_hb_sep
  transaction.body = built.body
  transaction.mime_part_count = built.mime_part_count
  transaction.message_stream = built.message_stream
  transaction.data_bytes = built.data_bytes
  old.unpipe()
  destroyStream(old) // Haraka destroys only the stream it finds in the transaction at the end
}
