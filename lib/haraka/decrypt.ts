// What hisho/decrypt does: in data_post the message is opened, or its forged marks are removed; in the queue hooks those
// recipients for whom it was not opened get the ciphertext.
import { HishoError, PermError, TempError } from '../errors.ts'
import { formatContentResult } from '../mail/auth-results.ts'
import { closeBody, type Message } from '../mail/message.ts'
import type { NotOpenedReason } from '../mail/opened-mark.ts'
import type { ContentSignature } from '../mail/scheme.ts'
import { receive, whyOf, type Arrival } from '../protection/incoming.ts'
import type { DecryptSettings } from '../services/plugin-settings.ts'
import type { Services } from '../services/services.ts'
import type { Address, Connection, Plugin, Transaction } from './api.ts'
import { recipientsOf, type Recipient } from './envelope.ts'
import { buildTransaction, destroyStream, readExact } from './exact-message.ts'
import { dropForgedFields, looksEncrypted } from './header-list.ts'
import { describe, GO_ON, type Deadline, type Verdict } from './hook.ts'
import { arrivalNote, holdBack, markNotOpened } from './not-opened.ts'
import { replayCheck } from './replay-check.ts'
import { tagSubject } from './subject-tags.ts'
import { replaceWhenRead } from './replace-message.ts'

/** What was done with a transaction's message. */
interface Seen {
  /** The ciphertext, for the recipients it was not opened for. */
  readonly sealed?: { readonly transaction: Transaction; readonly recipients: readonly Address[] }
  readonly opened?: readonly Address[]
  readonly signature?: ContentSignature
}

// Beside the transaction and not in its notes, which other plugins write and which go into queue files.
const seen = new WeakMap<Transaction, Seen>()
const tagged = new WeakSet<Transaction>()

export function whatWasSeen(transaction: Transaction): Seen | undefined {
  return seen.get(transaction)
}

export function hasArrived(transaction: Transaction): boolean {
  return seen.has(transaction) && tagged.has(transaction)
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
  if (settings.tags.length === 0) tagged.add(transaction) // a scanner may end data_post with OK
  const authservIds = new Set([connection.local.host.toLowerCase(), ...settings.authservIds])
  if (!settings.enabled || !looksEncrypted(transaction.header)) {
    dropForgedFields(transaction.header, authservIds)
    seen.set(transaction, {})
    return GO_ON
  }
  try {
    const outcome = await openMessage(context, connection, transaction, authservIds, deadline)
    transaction.results?.add(plugin, outcome)
  } catch (error) {
    throw notNow(error, transaction)
  }
  return GO_ON
}

/** data_post, behind whoever judges a signature. */
export async function tagTransaction(
  { settings }: DecryptContext,
  connection: Connection,
): Promise<Verdict> {
  const transaction = connection.transaction
  if (!transaction) return GO_ON
  const outcome = seen.get(transaction)?.opened ? 'opened' : 'other'
  tagSubject(transaction.header, settings, outcome)
  tagged.add(transaction)
  return GO_ON
}

/**
 * Whatever is the matter, one answer: which key or which step it was is for the log. A bug is answered by the wrapper.
 */
function notNow(error: unknown, { uuid }: Transaction): unknown {
  if (!(error instanceof HishoError)) return error
  return new TempError('protection/not-opened', 'not opened now', {
    cause: error,
    peerText: `try again later (reference ${uuid})`,
  })
}

async function openMessage(
  context: DecryptContext,
  connection: Connection,
  transaction: Transaction,
  authservIds: ReadonlySet<string>,
  deadline: Deadline,
): Promise<Record<string, unknown>> {
  const { plugin, services, settings } = context
  const { limits, tags, activeContent } = settings
  const peer = connection.remote.ip ?? ''
  if (services.openingFailures.isReached(peer, limits.failuresPerMinute))
    throw new TempError('protection/limit', `too much from ${peer} did not open within a minute`)
  const leave = (why: NotOpenedReason, reason: string): Record<string, unknown> =>
    leaveClosed(context, connection, transaction, authservIds, { why, reason })
  if (transaction.data_bytes > limits.bytes)
    return leave('limit', `protection/limit: it has ${transaction.data_bytes} bytes`)
  const read = await readExact(transaction, { undoRenaming: false })
  let arrival: Arrival<Recipient>
  try {
    arrival = await receive(read, recipientsOf(transaction), {
      ...services,
      authservIds,
      limits,
      tags,
      activeContent,
      reference: transaction.uuid,
      allowsUnproven: (domain) => services.table.current().ruleFor(domain).unproven === 'open',
      ...replayCheck(context, connection, transaction, read.fields),
    })
    if (arrival.status === 'opened') {
      const result = await release(transaction, read, arrival, deadline)
      await services.threads.remember(arrival.message.fields)
      if (arrival.signature) connection.auth_results(formatContentResult(arrival.signature))
      connection.loginfo(plugin, result)
      return { pass: result }
    }
  } catch (error) {
    // A chunk that was altered shows while the message streams: then it goes on as it came, like any that does not open.
    if (!(error instanceof PermError)) throw error
    arrival = { status: 'closed', fields: [], why: whyOf(error), reason: describe(error) }
  } finally {
    await closeBody(read)
  }
  if (arrival.status === 'closed') return leave(arrival.why, arrival.reason)
  dropForgedFields(transaction.header, authservIds)
  seen.set(transaction, {})
  return { skip: 'not encrypted' }
}

function leaveClosed(
  { plugin, services, settings }: DecryptContext,
  connection: Connection,
  transaction: Transaction,
  authservIds: ReadonlySet<string>,
  { why, reason }: { readonly why: NotOpenedReason; readonly reason: string },
): Record<string, unknown> {
  if (why === 'closed') services.openingFailures.failed(connection.remote.ip ?? '')
  holdBack(why, settings, (code) => new TempError(code, `held: ${reason}`))
  dropForgedFields(transaction.header, authservIds)
  markNotOpened(connection, transaction, why)
  seen.set(transaction, {})
  connection.lognotice(plugin, `not opened, delivered as it came: ${reason}`)
  return { fail: `not opened: ${reason}` }
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
    await replaceWhenRead(transaction, arrival.message, deadline, async () => {
      if (others.length === 0) return
      await closeBody(read) // the ciphertext may end before the message does, and a stream is read once at a time
      const again = await readExact(transaction, { undoRenaming: false })
      kept = await buildTransaction(transaction, { ...again, fields: arrival.fields })
    })
  } catch (error) {
    if (kept) destroyStream(kept.message_stream)
    throw error
  }
  const { inside, signature } = arrival
  Object.assign(
    transaction.notes,
    arrivalNote({ encrypted: true, opened: true, ...(inside && { reason: inside }) }),
  )
  seen.set(transaction, {
    opened: arrival.recipients.map((recipient) => recipient.envelope),
    ...(signature && { signature }),
    ...(kept ? { sealed: { transaction: kept, recipients: others } } : {}),
  })
  const rest = others.length > 0 ? `; ${others.length} other recipients get the ciphertext` : ''
  return `opened for ${arrival.recipients.length}: ${arrival.description}${rest}`
}

/** reset_transaction: the ciphertext that was kept goes with its transaction. */
export function forget(transaction: Transaction | null): void {
  if (!transaction) return
  const kept = seen.get(transaction)?.sealed?.transaction
  if (kept) destroyStream(kept.message_stream)
  seen.delete(transaction)
}
