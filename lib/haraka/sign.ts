// What hisho/sign does in Haraka's queue hooks, before encrypt: mail of our own users gets an IBE-Signature.
import { HishoError, TempError } from '../errors.ts'
import { closeBody, peekBody, type Message } from '../mail/message.ts'
import { PEEK_BYTES, protectionOf } from '../mail/protected-content.ts'
import { judgeSender, type Submitter } from '../protection/sender.ts'
import type { Services } from '../services/services.ts'
import type { SignSettings } from '../services/plugin-settings.ts'
import type { Connection, Plugin, Transaction } from './api.ts'
import { stillWanted } from './envelope.ts'
import { readExact } from './exact-message.ts'
import { describe, GO_ON, type Deadline, type Verdict } from './hook.ts'
import { prependField } from './replace-message.ts'
import { submitterOf } from './submitter.ts'

// Beside the transaction and not in its notes, which other plugins write.
const considered = new WeakSet<Transaction>()

export function wasConsidered(transaction: Transaction): boolean {
  return considered.has(transaction)
}

export interface SignContext {
  readonly plugin: Plugin
  readonly services: Services
  readonly settings: SignSettings
}

type Outcome =
  | { readonly signed: true; readonly text: string }
  | { readonly signed: false; readonly text: string }

/** queue and queue_outbound. Signed, or the result says why not. */
export async function signTransaction(
  context: SignContext,
  connection: Connection,
  deadline: Deadline,
): Promise<Verdict> {
  const { plugin, settings } = context
  const transaction = connection.transaction
  if (!transaction || considered.has(transaction)) return GO_ON
  const outcome = settings.enabled
    ? await trySigning(context, connection, transaction, deadline)
    : ({ signed: false, text: 'switched off' } as const)
  considered.add(transaction)
  transaction.results?.add(plugin, { [outcome.signed ? 'pass' : 'skip']: outcome.text })
  connection.loginfo(plugin, outcome.text)
  return GO_ON
}

async function trySigning(
  context: SignContext,
  connection: Connection,
  transaction: Transaction,
  deadline: Deadline,
): Promise<Outcome> {
  const submitter = submitterOf(connection, context.settings.relayNetworks)
  if (submitter.kind === 'unknown')
    return { signed: false, text: 'not signed: the sender did not authenticate' }
  completeHeader(transaction)
  const read = await readExact(transaction, { undoRenaming: true })
  try {
    return await signMessage(context, connection, transaction, deadline, submitter, read)
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    // What cannot be signed is no worse than what need not be: it goes on, as all else that is not signed.
    if (error.code === 'mail/malformed')
      return { signed: false, text: `not signed: ${error.message}` }
    if (context.settings.onFailure === 'defer') throw asTemporary(error)
    const text = `not signed (on_failure: send_unsigned): ${describe(error)}`
    connection.logwarn(context.plugin, text)
    return { signed: false, text }
  } finally {
    await closeBody(read)
  }
}

/** Whatever is wrong with our own keys: the message waits until they are mended. */
function asTemporary(error: HishoError): TempError {
  return error instanceof TempError
    ? error
    : new TempError(error.code, error.message, { cause: error })
}

async function signMessage(
  { services }: SignContext,
  connection: Connection,
  transaction: Transaction,
  deadline: Deadline,
  submitter: Submitter,
  read: Message,
): Promise<Outcome> {
  const table = services.table.current()
  const { normalizeAddress, signatures } = services
  const sender = judgeSender(read.fields, submitter, { table, normalizeAddress })
  if (sender.status === 'not-signed') return { signed: false, text: `not signed: ${sender.reason}` }
  const { start, message } = await peekBody(read, PEEK_BYTES)
  if (protectionOf(message, start) === 'hisho')
    return { signed: false, text: 'not signed: encrypted already' }
  const generation = await signatures.generationFor(sender.domain)
  if (!generation)
    return {
      signed: false,
      text: `not signed: ${sender.domain} publishes no signing key that the vault has`,
    }
  const field = await signatures.sign(message, sender.address, generation)
  stillWanted(connection, transaction, deadline)()
  await prependField(transaction, field, message, deadline)
  return { signed: true, text: `signed as ${sender.address}, ibe-cc n=${generation.n}` }
}

/** What Haraka's queue would add after us, and so break the signature (RFC 6409 section 8 lets a submission server). */
function completeHeader(transaction: Transaction): void {
  const { header, uuid } = transaction
  if (header.get('Message-Id') === '')
    transaction.add_header('Message-Id', `<${uuid}@${transaction.mail_from.host || 'localhost'}>`)
  if (header.get('Date') === '')
    transaction.add_header('Date', new Date().toUTCString().replace('GMT', '+0000'))
}
