// What hisho/decrypt does: in data_post the message is opened, or its forged marks are removed; in the queue hooks those
// recipients for whom it was not opened get the ciphertext.
import { PermError } from '../errors.ts'
import { closeBody, type Message } from '../mail/message.ts'
import { receive, type Arrival } from '../protection/incoming.ts'
import type { Services } from '../services/services.ts'
import type { DecryptSettings } from '../services/plugin-settings.ts'
import {
  OK,
  type Address,
  type Connection,
  type Plugin,
  type PluginsModule,
  type Transaction,
} from './api.ts'
import { recipientsOf, stillWanted, type Recipient } from './envelope.ts'
import { buildTransaction, destroyStream, readExact, replaceMessage } from './exact-message.ts'
import { dropForgedFields, looksEncrypted } from './header-list.ts'
import { describe, GO_ON, type Deadline, type Verdict } from './hook.ts'
import { setMark } from './mark.ts'
import { outboundOf } from './outbound.ts'
import { queueCopies } from './queue-copies.ts'
import { routeOfCopies } from './route.ts'

/** What was done with a transaction's message. */
interface Seen {
  /** The ciphertext, for the recipients it was not opened for. */
  readonly sealed?: { readonly transaction: Transaction; readonly recipients: readonly Address[] }
  readonly opened?: readonly Address[]
}

// Beside the transaction and not in its notes, which other plugins write and which go into queue files.
const seen = new WeakMap<Transaction, Seen>()

export function hasArrived(transaction: Transaction): boolean {
  return seen.has(transaction)
}

export interface DecryptContext {
  readonly plugin: Plugin
  readonly services: Services
  readonly settings: DecryptSettings
}

/** data_post. */
export async function openTransaction(
  context: DecryptContext,
  connection: Connection,
  deadline: Deadline,
): Promise<Verdict> {
  const { plugin, settings } = context
  const transaction = connection.transaction
  if (!transaction) return GO_ON
  const authservIds = new Set([connection.local.host.toLowerCase(), ...settings.authservIds])
  if (!settings.enabled || !looksEncrypted(transaction.header)) {
    dropForgedFields(transaction.header, authservIds)
    seen.set(transaction, {})
    return GO_ON
  }
  const outcome = await openMessage(context, connection, transaction, authservIds, deadline)
  transaction.results?.add(plugin, outcome)
  return GO_ON
}

async function openMessage(
  { plugin, services }: DecryptContext,
  connection: Connection,
  transaction: Transaction,
  authservIds: ReadonlySet<string>,
  deadline: Deadline,
): Promise<Record<string, unknown>> {
  const recipients = recipientsOf(transaction)
  const read = await readExact(transaction, { undoRenaming: false })
  let arrival: Arrival<Recipient>
  try {
    arrival = await receive(read, recipients, { ...services, authservIds })
    if (arrival.status === 'opened') {
      const result = await release(transaction, read, arrival, deadline)
      connection.loginfo(plugin, result)
      return { pass: result }
    }
  } catch (error) {
    // A chunk that was altered shows while the message streams: then it goes on as it came, like any that does not open.
    if (!(error instanceof PermError)) throw error
    arrival = { status: 'closed', fields: [], reason: describe(error) }
  } finally {
    await closeBody(read)
  }
  dropForgedFields(transaction.header, authservIds)
  seen.set(transaction, {})
  if (arrival.status === 'none') return { skip: 'not encrypted' }
  connection.lognotice(plugin, `not opened, delivered as it came: ${arrival.reason}`)
  return { fail: `not opened: ${arrival.reason}` }
}

/** Puts the plaintext into the transaction, and keeps the ciphertext for those it was not sealed for. */
async function release(
  transaction: Transaction,
  read: Message,
  arrival: Extract<Arrival<Recipient>, { status: 'opened' }>,
  deadline: Deadline,
): Promise<string> {
  const others = arrival.others.map((recipient) => recipient.envelope)
  let kept: Transaction | undefined
  try {
    await replaceMessage(transaction, arrival.message, deadline, async () => {
      if (others.length === 0) return
      await closeBody(read) // the ciphertext may end before the message does, and a stream is read once at a time
      const again = await readExact(transaction, { undoRenaming: false })
      kept = await buildTransaction(transaction, { ...again, fields: arrival.fields })
    })
  } catch (error) {
    if (kept) destroyStream(kept.message_stream)
    throw error
  }
  seen.set(transaction, {
    opened: arrival.recipients.map((recipient) => recipient.envelope),
    ...(kept ? { sealed: { transaction: kept, recipients: others } } : {}),
  })
  const rest = others.length > 0 ? `; ${others.length} other recipients get the ciphertext` : ''
  return `opened for ${arrival.recipients.length}: ${arrival.description}${rest}`
}

/** queue and queue_outbound, before encrypt: two copies where the recipients may not all read the same. */
export async function splitOpened(
  { plugin }: DecryptContext,
  connection: Connection,
  deadline: Deadline,
): Promise<Verdict> {
  const transaction = connection.transaction
  const found = transaction && seen.get(transaction)
  if (!transaction || !found?.sealed || !found.opened) return GO_ON
  const { sealed, opened } = found
  const checkStillWanted = stillWanted(connection, transaction, deadline)
  const route = routeOfCopies(plugin.haraka_require('plugins') as PluginsModule, connection)
  const options = { ...outboundOf(plugin), checkStillWanted }
  await queueCopies(
    transaction,
    [
      copyOf(transaction, opened, route, { protected: false, reason: 'opened here' }),
      copyOf(sealed.transaction, sealed.recipients, route, {
        protected: true,
        reason: 'ciphertext for others',
      }),
    ],
    options,
  )
  return { code: OK, message: 'queued as 2 messages' }
}

function copyOf(
  from: Transaction,
  recipients: readonly Address[],
  route: Readonly<Record<string, unknown>>,
  decision: { readonly protected: boolean; readonly reason: string },
) {
  const notes: Record<string, unknown> = { ...route }
  setMark(notes, { ...decision, recipients: recipients.map((recipient) => recipient.address) })
  return { recipients, notes, message: () => readExact(from, { undoRenaming: false }) }
}

/** reset_transaction: the ciphertext that was kept goes with its transaction. */
export function forget(transaction: Transaction | null): void {
  if (!transaction) return
  const kept = seen.get(transaction)?.sealed?.transaction
  if (kept) destroyStream(kept.message_stream)
  seen.delete(transaction)
}
