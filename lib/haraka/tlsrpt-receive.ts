// Reports that come by mail to an address of ours. In data_post the report is read and kept; in the queue hooks the mail is
// consumed, or delivered on. RFC 8460 section 5.3.
import { PermError } from '../errors.ts'
import { closeBody, messageBytes, type Message } from '../mail/message.ts'
import type { ReceiveSettings } from '../services/tlsrpt-receive-settings.ts'
import type { Origin } from '../tlsrpt/received/kept.ts'
import type { Receiver } from '../tlsrpt/received/receive.ts'
import { findReport, saysReport } from '../tlsrpt/received/report-mail.ts'
import {
  DENYSOFT,
  OK,
  type Address,
  type Connection,
  type Plugin,
  type Transaction,
} from './api.ts'
import { readExact } from './exact-message.ts'
import { describe, GO_ON, type Verdict } from './hook.ts'

export interface ReceiveContext {
  readonly plugin: Plugin
  readonly settings: ReceiveSettings
  readonly receiver: Receiver
}

/** Whose report is kept: for those the mail has done its work. */
const done = new WeakMap<Transaction, readonly Address[]>()

/** data_post, after the signatures were looked at and the mail was opened. */
export async function receiveReport(
  context: ReceiveContext,
  connection: Connection,
): Promise<Verdict> {
  const { plugin, settings } = context
  const { transaction } = connection
  if (!transaction || settings.addresses.size === 0) return GO_ON
  const ours = transaction.rcpt_to.filter(({ address }) =>
    settings.addresses.has(address.toLowerCase()),
  )
  if (ours.length === 0) return GO_ON
  const report = await reportIn(transaction, settings)
  if (report === undefined) return GO_ON
  try {
    if (report.status === 'claim') throw new PermError('tlsrpt/malformed', report.reason)
    const origin = originOf(transaction, connection)
    const { status } = await context.receiver.receive(report.report, origin)
    if (status === 'full') return { code: DENYSOFT, message: '4.3.1 too many reports' }
    transaction.results?.add(plugin, { pass: `report ${status}` })
    if (settings.afterwards === 'consume') done.set(transaction, ours)
    return GO_ON
  } catch (error) {
    if (!(error instanceof PermError)) throw error
    if (settings.onUnreadable === 'reject') throw error
    connection.lognotice(plugin, `delivered on, the report is not kept: ${describe(error)}`)
    transaction.results?.add(plugin, { fail: 'no report that can be read' })
    return GO_ON
  }
}

async function reportIn(
  transaction: Transaction,
  { limits }: ReceiveSettings,
): Promise<Exclude<ReturnType<typeof findReport>, { status: 'none' }> | undefined> {
  const message = await readExact(transaction, { undoRenaming: false })
  try {
    if (!saysReport(message.fields)) return undefined
    // As base64, and with the part for people.
    const whole = await bytesOf(message, limits.sizeBytes * 2)
    if (whole === undefined) return { status: 'claim', reason: 'mail: it is too long for a report' }
    const found = findReport(whole)
    return found.status === 'none' ? undefined : found
  } finally {
    await closeBody(message)
  }
}

/** undefined: there are more. */
async function bytesOf(message: Message, maxBytes: number): Promise<Uint8Array | undefined> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of messageBytes(message)) {
    length += piece.length
    if (length > maxBytes) return undefined
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** What haraka-plugin-dkim has found, where it runs. */
function originOf(transaction: Transaction, { remote }: Connection): Origin {
  const results: unknown = transaction.notes['dkim_results']
  const all: readonly unknown[] = Array.isArray(results) ? results : []
  return {
    via: 'mail',
    from: `<${transaction.mail_from.address ?? ''}> [${remote.ip ?? ''}]`,
    dkim: all.flatMap((one) => {
      const isGood = typeof one === 'object' && one !== null && 'result' in one && 'domain' in one
      if (!isGood || one.result !== 'pass' || typeof one.domain !== 'string') return []
      return [one.domain.toLowerCase()]
    }),
  }
}

/** queue and queue_outbound: for the address of reports nothing is left to do. */
export function takeReport(plugin: Plugin, connection: Connection): Verdict {
  const { transaction } = connection
  const ours = transaction && done.get(transaction)
  if (!transaction || !ours) return GO_ON
  transaction.rcpt_to = transaction.rcpt_to.filter((recipient) => !ours.includes(recipient))
  connection.loginfo(plugin, 'the report is kept, and its mail goes no further')
  return transaction.rcpt_to.length === 0 ? { code: OK, message: 'report received' } : GO_ON
}
