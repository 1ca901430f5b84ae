// What hisho/encrypt does in Haraka's queue hooks: the plan of lib/protection, carried out on the transaction.
import type { BlockList } from 'node:net'
import { closeBody, peekBody, type Message } from '../mail/message.ts'
import { PEEK_BYTES, protectionOf } from '../mail/protected-content.ts'
import type { Decision } from '../protection/decision.ts'
import { exemptionOf } from '../protection/exemption.ts'
import { planOutgoing } from '../protection/outgoing.ts'
import { answeredIds, reportedIds } from '../protection/threads.ts'
import type { EncryptSettings } from '../services/plugin-settings.ts'
import type { Services } from '../services/services.ts'
import { OK, type Connection, type Plugin, type PluginsModule, type Transaction } from './api.ts'
import { recipientsOf, stillWanted } from './envelope.ts'
import { readExact } from './exact-message.ts'
import { copyFor, markFor, sealFor, type CopyContext, type Group } from './group-copy.ts'
import { stageHeld } from './held-mail.ts'
import { GO_ON, logTo, type Deadline, type Verdict } from './hook.ts'
import { covers, markOf, setMark } from './mark.ts'
import { outboundOf } from './outbound.ts'
import { queueCopies } from './queue-copies.ts'
import { routeOfCopies } from './route.ts'
import { replaceMessage } from './replace-message.ts'
import { authorOf, isOurs, submitterOf, triggerIn } from './submitter.ts'

export interface EncryptContext {
  readonly plugin: Plugin
  readonly services: Services
  readonly settings: EncryptSettings
  /** Hosts that have checked their senders: those for which hisho/sign signs too. */
  readonly relayNetworks: BlockList
}

interface Plan extends CopyContext {
  readonly groups: readonly Group[]
  readonly message: Message
  readonly raisedBy: string | undefined
}

/** queue and queue_outbound: one group is rewritten in place for any queue plugin; several become copies of their own. */
export async function protectConnection(
  context: EncryptContext,
  connection: Connection,
  deadline: Deadline,
): Promise<Verdict> {
  const { plugin, settings } = context
  const transaction = connection.transaction
  if (!transaction || isDecided(transaction)) return GO_ON
  const raisedBy = triggerIn(connection, settings.triggers)
  if (needsNothing(context, transaction, raisedBy)) return GO_ON
  const checkStillWanted = stillWanted(connection, transaction, deadline)
  const plan = await planFor(context, transaction, { connection, raisedBy })
  const { groups } = plan
  try {
    checkStillWanted()
    const only = groups[0]
    if (groups.length === 1 && only && only.decision.kind !== 'hold') {
      await protectInPlace(plan, transaction, only, deadline)
      report(plugin, connection, transaction, groups)
      return GO_ON
    }
  } finally {
    await closeBody(plan.message)
  }
  const verdict = await splitUp(context, connection, transaction, plan, checkStillWanted)
  report(plugin, connection, transaction, groups)
  return verdict
}

/** Copies into the queue, and who has no key yet into the directory of held mail: all of it, or nothing. */
async function splitUp(
  { plugin, services }: EncryptContext,
  connection: Connection,
  transaction: Transaction,
  plan: Plan,
  checkStillWanted: () => void,
): Promise<Verdict> {
  const route = routeOfCopies(plugin.haraka_require('plugins') as PluginsModule, connection)
  const open = (): Promise<Message> => readExact(transaction, { undoRenaming: true })
  const waiting = plan.groups.find(({ decision }) => decision.kind === 'hold')
  const going = plan.groups.filter((group) => group !== waiting)
  const copies = going.map((group) => copyFor(plan, group, route, open))
  const held =
    waiting && (await stageHeld(services.held, transaction, waiting, { ...plan, notes: route }))
  try {
    checkStillWanted()
    await held?.commit()
    checkStillWanted()
    if (copies.length > 0)
      await queueCopies(transaction, copies, { ...outboundOf(plugin), checkStillWanted })
  } catch (error) {
    await held?.discard()
    throw error
  }
  const kept = waiting && held ? ` kept until there is a key (${held.id})` : ''
  const queued = copies.length > 0 ? `queued as ${copies.length} messages` : ''
  return { code: OK, message: `${queued}${queued && kept ? ';' : ''}${kept}`.trim() }
}

/**
 * pre_send_trans_email: mail that came by no queue hook, such as Haraka's bounces and what other plugins send. This hook
 * cannot stop anything: what it fails to protect, the gate in get_mx holds back where protection is required.
 */
export async function protectGenerated(
  context: EncryptContext,
  { transaction }: Pick<Connection, 'transaction'>,
  deadline: Deadline,
): Promise<Verdict> {
  if (!transaction || isDecided(transaction) || needsNothing(context, transaction, undefined))
    return GO_ON
  const plan = await planFor(context, transaction, undefined)
  try {
    const [only, ...others] = plan.groups
    if (only && others.length === 0 && only.decision.kind !== 'hold')
      await protectInPlace(plan, transaction, only, deadline)
  } finally {
    await closeBody(plan.message)
  }
  return GO_ON
}

function isDecided(transaction: Transaction): boolean {
  const mark = markOf(transaction.notes)
  return transaction.rcpt_to.every((recipient) => covers(mark, recipient.address))
}

/** Mail among our own users, which is most of what arrives: it need not even be read. */
function needsNothing(
  { services }: EncryptContext,
  transaction: Transaction,
  raisedBy: string | undefined,
): boolean {
  const table = services.table.current()
  return transaction.rcpt_to.every(
    ({ host, address }) =>
      table.isLocal(host) ||
      (raisedBy === undefined && table.ruleForAddress(address).encrypt === 'never'),
  )
}

/** How a message was handed to us. */
interface Submission {
  readonly connection: Connection
  readonly raisedBy: string | undefined
}

/** `submission`: undefined for what Haraka makes itself. */
async function planFor(
  { plugin, services, relayNetworks }: EncryptContext,
  transaction: Transaction,
  submission: Submission | undefined,
): Promise<Plan> {
  const read = await readExact(transaction, { undoRenaming: true })
  try {
    const { start, message } = await peekBody(read, PEEK_BYTES)
    const { fields } = message
    const sender = transaction.mail_from.address
    const { threads } = services
    const specimen = { fields, start, sender }
    // A bounce can be neither refused nor kept; and it brings no content back, or is no bounce.
    const isAnswer = submission !== undefined && isOurs(submission.connection) && sender !== ''
    const groups = await planOutgoing(
      recipientsOf(transaction),
      fields,
      protectionOf(message, start),
      {
        table: services.table.current(),
        schemes: services.schemes,
        normalizeAddress: services.normalizeAddress,
        log: logTo(plugin),
        exemptionOf: async (address) => {
          const found = exemptionOf(specimen, address)
          const about = [...answeredIds(fields), ...reportedIds(start)]
          // A report on what came encrypted may repeat its subject.
          return found && !(await threads.wasEncrypted(about)) ? found : undefined
        },
        ...(isAnswer && { answersEncrypted: () => threads.wasEncrypted(answeredIds(fields)) }),
        ...(submission?.raisedBy !== undefined && { raisedBy: submission.raisedBy }),
      },
    )
    const author =
      submission && authorOf(fields, submitterOf(submission.connection, relayNetworks), services)
    return { services, groups, message, author, raisedBy: submission?.raisedBy }
  } catch (error) {
    await closeBody(read)
    throw error
  }
}

async function protectInPlace(
  plan: Plan,
  transaction: Transaction,
  group: Group,
  deadline: Deadline,
): Promise<void> {
  if (group.decision.kind === 'seal')
    await replaceMessage(transaction, sealFor(plan, group, plan.message), deadline)
  setMark(transaction.notes, markFor(group))
}

const WORDS: Record<Decision['kind'], string> = {
  clear: 'sent in clear',
  ciphertext: 'left as it is',
  seal: 'encrypted',
  hold: 'held',
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
    if (decision.kind === 'seal' || decision.kind === 'hold') connection.loginfo(plugin, text)
  }
}
