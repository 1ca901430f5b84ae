// One submission, several messages: all copies into the outbound queue, or none. Every copy goes through Haraka's own
// send_trans_email, so that DKIM and whoever else hooks there sees it; only the last step, the file, is ours.
import { createWriteStream } from 'node:fs'
import { rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { TempError } from '../errors.ts'
import type { Message } from '../mail/message.ts'
import { OK, type Address, type Outbound, type TodoItem, type Transaction } from './api.ts'
import { buildTransaction, destroyStream } from './exact-message.ts'
import { copyNotes } from './mark.ts'

export interface Copy {
  readonly recipients: readonly Address[]
  /** Called when its turn comes: the message streams from the transaction, which can be read once at a time. */
  readonly message: () => Promise<Message>
  /** Notes of this copy, beside those it inherits. They are stored in the queue file: no secret may be in them. */
  readonly notes: Readonly<Record<string, unknown>>
}

export interface QueueOptions {
  readonly outbound: Outbound
  readonly queueDirectory: string
  /** Throws if the answer was given already, or the client is gone: then nothing may be queued any more. */
  readonly checkStillWanted: () => void
}

interface StagedFile {
  readonly name: string
  readonly temporary: string
  readonly final: string
  readonly notes: Record<string, unknown>
}

/** TempError haraka/queue, and an empty queue, if any copy cannot be written. */
export async function queueCopies(
  transaction: Transaction,
  copies: readonly Copy[],
  options: QueueOptions,
): Promise<void> {
  const staged: StagedFile[] = []
  const renamed: string[] = []
  try {
    for (const copy of copies) await stageCopy(transaction, copy, staged, options)
    options.checkStillWanted()
    for (const file of staged) {
      await rename(file.temporary, file.final)
      renamed.push(file.final)
    }
  } catch (error) {
    const files = [...staged.map((file) => file.temporary), ...renamed]
    await Promise.all(files.map((file) => unlink(file).catch(() => {})))
    throw error instanceof TempError
      ? error
      : new TempError('haraka/queue', 'the copies cannot be queued', { cause: error })
  }
  // From here on the mail is ours. Files exist: an item that cannot be made now is found by Haraka at its next start.
  for (const file of staged) {
    options.outbound.delivery_queue.push(
      new options.outbound.HMailItem(file.name, file.final, file.notes),
    )
  }
}

async function stageCopy(
  like: Transaction,
  copy: Copy,
  staged: StagedFile[],
  options: QueueOptions,
): Promise<void> {
  const transaction = await buildTransaction(like, await copy.message())
  try {
    transaction.mail_from = like.mail_from
    transaction.rcpt_to = [...copy.recipients]
    copyNotes(like.notes, transaction.notes, copy.notes)
    // send_trans_email finds process_delivery through `this`: ours writes the file and leaves it unseen.
    const staging = Object.create(options.outbound) as Outbound
    let failure: unknown
    staging.process_delivery = (_okPaths, todo) =>
      stageFile(todo, staged, options).catch((error: unknown) => {
        failure = error // what reaches the callback below is its text, without the cause
        throw error
      })
    await new Promise<void>((resolve, reject) => {
      options.outbound.send_trans_email.call(staging, transaction, (code, message) => {
        if (code === OK) resolve()
        else {
          const text = `the copy was not queued: ${String(message)}`
          reject(failure ?? new TempError('haraka/queue', text))
        }
      })
    })
  } finally {
    destroyStream(transaction.message_stream)
  }
}

async function stageFile(
  todo: TodoItem,
  staged: StagedFile[],
  { outbound, queueDirectory }: QueueOptions,
): Promise<void> {
  const name = outbound.qfile.name()
  const file: StagedFile = {
    name,
    temporary: join(queueDirectory, `${outbound.qfile.platformDOT}${name}`),
    final: join(queueDirectory, name),
    notes: todo.notes,
  }
  staged.push(file)
  await new Promise<void>((resolve, reject) => {
    const output = createWriteStream(file.temporary, { flags: 'wx', flush: true })
    output.on('close', resolve)
    output.on('error', (error) => {
      todo.message_stream.unpipe()
      reject(
        new TempError('haraka/queue', 'the queue directory cannot be written', { cause: error }),
      )
    })
    outbound.build_todo(todo, output, () =>
      todo.message_stream.pipe(output, { dot_stuffed: false }),
    )
  })
}
