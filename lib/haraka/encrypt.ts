// What hisho/encrypt does in Haraka's queue hooks: the plan of lib/protection, carried out on the transaction.
import { closeBody, peekBody, type Message } from '../mail/message.ts'
import { PEEK_BYTES, protectionOf } from '../mail/protected-content.ts'
import { planOutgoing, type Decision, type OutgoingGroup } from '../protection/outgoing.ts'
import type { Services } from '../services/services.ts'
import { OK, type Connection, type Plugin, type PluginsModule, type Transaction } from './api.ts'
import { recipientsOf, stillWanted, type Recipient } from './envelope.ts'
import { readExact } from './exact-message.ts'
import { GO_ON, logTo, type Deadline, type Verdict } from './hook.ts'
import { covers, markOf, setMark, type Mark } from './mark.ts'
import { outboundOf } from './outbound.ts'
import { queueCopies } from './queue-copies.ts'
import { routeOfCopies } from './route.ts'
import { replaceMessage } from './replace-message.ts'

type Group = OutgoingGroup<Recipient>

/** queue and queue_outbound: one group is rewritten in place for any queue plugin; several become copies of their own. */
export async function protectConnection(
  plugin: Plugin,
  services: Services,
  connection: Connection,
  deadline: Deadline,
): Promise<Verdict> {
  const transaction = connection.transaction
  if (!transaction || isDecided(transaction) || needsNothing(services, transaction)) return GO_ON
  const checkStillWanted = stillWanted(connection, transaction, deadline)
  const { groups, message } = await plan(plugin, services, transaction)
  try {
    checkStillWanted()
    const only = groups[0]
    if (groups.length === 1 && only) {
      await protectInPlace(services, transaction, only, message, deadline)
      report(plugin, connection, transaction, groups)
      return GO_ON
    }
  } finally {
    await closeBody(message)
  }
  const route = routeOfCopies(plugin.haraka_require('plugins') as PluginsModule, connection)
  const copies = groups.map((group) => ({
    recipients: group.recipients.map((recipient) => recipient.envelope),
    message: async () =>
      sealFor(services, group, await readExact(transaction, { undoRenaming: true })),
    notes: { ...route, ...noteOf(markFor(group)) },
  }))
  await queueCopies(transaction, copies, { ...outboundOf(plugin), checkStillWanted })
  report(plugin, connection, transaction, groups)
  return { code: OK, message: `queued as ${copies.length} messages` }
}

/**
 * pre_send_trans_email: mail that came by no queue hook, such as Haraka's bounces and what other plugins send. This hook
 * cannot stop anything: what it fails to protect, the gate in get_mx holds back where protection is required.
 */
export async function protectGenerated(
  plugin: Plugin,
  services: Services,
  connection: Pick<Connection, 'transaction'>,
  deadline: Deadline,
): Promise<Verdict> {
  const transaction = connection.transaction
  if (!transaction || isDecided(transaction) || needsNothing(services, transaction)) return GO_ON
  const { groups, message } = await plan(plugin, services, transaction)
  try {
    const only = groups[0]
    if (groups.length === 1 && only)
      await protectInPlace(services, transaction, only, message, deadline)
  } finally {
    await closeBody(message)
  }
  return GO_ON
}

function isDecided(transaction: Transaction): boolean {
  const mark = markOf(transaction.notes)
  return transaction.rcpt_to.every((recipient) => covers(mark, recipient.address))
}

/** Mail among our own users, which is most of what arrives: it need not even be read. */
function needsNothing(services: Services, transaction: Transaction): boolean {
  const table = services.table.current()
  return transaction.rcpt_to.every(
    ({ host }) => table.isLocal(host) || table.ruleFor(host).encrypt === 'never',
  )
}

async function plan(
  plugin: Plugin,
  services: Services,
  transaction: Transaction,
): Promise<{ groups: Group[]; message: Message }> {
  const recipients = recipientsOf(transaction)
  const read = await readExact(transaction, { undoRenaming: true })
  try {
    const { start, message } = await peekBody(read, PEEK_BYTES)
    const groups = await planOutgoing(recipients, message.fields, protectionOf(message, start), {
      table: services.table.current(),
      schemes: services.schemes,
      normalizeAddress: services.normalizeAddress,
      log: logTo(plugin),
    })
    return { groups, message }
  } catch (error) {
    await closeBody(read)
    throw error
  }
}

async function protectInPlace(
  services: Services,
  transaction: Transaction,
  group: Group,
  message: Message,
  deadline: Deadline,
): Promise<void> {
  if (group.decision.kind === 'seal')
    await replaceMessage(transaction, sealFor(services, group, message), deadline)
  setMark(transaction.notes, markFor(group))
}

function sealFor(services: Services, { decision, recipients }: Group, message: Message): Message {
  if (decision.kind !== 'seal') return message
  const addresses = recipients.map((recipient) => services.normalizeAddress(recipient.address))
  return decision.offer.seal([...new Set(addresses)], message, { author: undefined })
}

function markFor({ decision, recipients }: Group): Mark {
  return {
    protected: decision.kind !== 'clear',
    reason: decision.reason,
    recipients: recipients.map((recipient) => recipient.address),
  }
}

function noteOf(mark: Mark): Record<string, unknown> {
  const notes: Record<string, unknown> = {}
  setMark(notes, mark)
  return notes
}

const WORDS: Record<Decision['kind'], string> = {
  clear: 'sent in clear',
  ciphertext: 'left as it is',
  seal: 'encrypted',
}

function report(
  plugin: Plugin,
  connection: Connection,
  transaction: Transaction,
  groups: readonly Group[],
): void {
  for (const { decision, recipients } of groups) {
    const domains = [
      ...new Set(recipients.map((recipient) => recipient.domain.toLowerCase())),
    ].join(' ')
    const text = `${WORDS[decision.kind]} for ${recipients.length} at ${domains}: ${decision.reason}`
    const key = decision.kind === 'seal' ? 'pass' : 'skip'
    transaction.results?.add(plugin, { [key]: text })
    if (decision.kind === 'seal') connection.loginfo(plugin, text)
  }
}
