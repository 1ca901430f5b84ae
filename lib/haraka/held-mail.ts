// Mail that waits for a key: from the transaction into the directory of held mail, and from there into Haraka's queue.
import { envelopeAddress } from '../mail/address.ts'
import { fieldsNamed, fieldValue } from '../mail/header.ts'
import { closeBody, messageBytes, peekBody, readMessage, type Message } from '../mail/message.ts'
import { PEEK_BYTES, protectionOf } from '../mail/protected-content.ts'
import { formatNotice, type Notice } from '../protection/held/notice.ts'
import type { HeldMail } from '../protection/held/held-mail.ts'
import type { SendMode } from '../protection/held/rounds.ts'
import type { HeldStore, StagedMail } from '../protection/held/store.ts'
import { planOutgoing } from '../protection/outgoing.ts'
import { answeredIds } from '../protection/threads.ts'
import { PermError, TempError } from '../errors.ts'
import type { Services } from '../services/services.ts'
import { DENY, OK, type Outbound, type Plugin, type Transaction } from './api.ts'
import { addDeliveryNote, deliveryNoteOf } from './delivery-note.ts'
import type { Recipient } from './envelope.ts'
import { destroyStream, readExact } from './exact-message.ts'
import { copyFor, type Group } from './group-copy.ts'
import { logTo } from './hook.ts'
import { outboundOf } from './outbound.ts'
import { queueCopies } from './queue-copies.ts'

export interface HoldContext {
  readonly author: string | undefined
  readonly raisedBy: string | undefined
  /** Where it goes once it goes. */
  readonly notes: Readonly<Record<string, unknown>>
}

/** The message on the disk, for the recipients of this group; it is held from `commit` on. */
export async function stageHeld(
  store: HeldStore,
  transaction: Transaction,
  group: Group,
  { author, raisedBy, notes }: HoldContext,
): Promise<StagedMail> {
  const message = await readExact(transaction, { undoRenaming: true })
  const [id] = fieldsNamed(message.fields, 'message-id').map(fieldValue)
  const own: Record<string, unknown> = { ...notes }
  addDeliveryNote(own, deliveryNoteOf(transaction.notes))
  return store.stage(
    {
      sender: textOf(transaction.mail_from),
      recipients: group.recipients.map(({ envelope }) => textOf(envelope)),
      reason: group.decision.reason,
      ...(raisedBy !== undefined && { raisedBy }),
      ...(author !== undefined && { author }),
      ...(id !== undefined && /^<[!-~]{1,250}>$/.test(id) && { messageId: id }),
      notes: own,
    },
    messageBytes(message),
  )
}

/** As it came on the wire, quotes and all, so that the address can be made of it again. */
function textOf({ original }: { readonly original: string }): string {
  return original.replace(/^<(.*)>$/s, '$1')
}

/** For `createRounds`: the recipients whose copies are in the queue now. */
export async function sendHeld(
  plugin: Plugin,
  services: Services,
  mail: HeldMail,
  mode: SendMode,
): Promise<readonly string[]> {
  const open = (): Promise<Message> => readMessage(services.held.message(mail.id))
  const texts = new Map<Recipient, string>()
  for (const text of mail.recipients) {
    const envelope = envelopeAddress(text)
    texts.set({ address: envelope.address, domain: envelope.host, envelope }, text)
  }
  const groups = await planAgain(plugin, services, mail, [...texts.keys()], open)
  const going = groups.filter(({ decision: { kind }, recipients }) => {
    if (kind === 'hold' && mode === 'plain') return recipients.length > 0
    return kind === 'seal' || kind === 'ciphertext' || (kind === 'clear' && mode !== 'sealed')
  })
  if (going.length === 0) return []
  if (mode === 'plain') refuseWhereRequired(services, mail, going)
  const context = { services, author: mail.author }
  const like = transactionFor(plugin, mail)
  try {
    await queueCopies(
      like,
      going.map((group) => copyFor(context, group, mail.notes, open, 'released')),
      { ...outboundOf(plugin), checkStillWanted: () => {} },
    )
  } finally {
    destroyStream(like.message_stream)
  }
  return going.flatMap(({ recipients }) =>
    recipients.map((recipient) => texts.get(recipient) ?? ''),
  )
}

async function planAgain(
  plugin: Plugin,
  services: Services,
  mail: HeldMail,
  recipients: readonly Recipient[],
  open: () => Promise<Message>,
): Promise<Group[]> {
  const { start, message } = await peekBody(await open(), PEEK_BYTES)
  await closeBody(message)
  const { fields } = message
  const answersEncrypted = () => services.threads.wasEncrypted(answeredIds(fields))
  return planOutgoing(recipients, fields, protectionOf(message, start), {
    table: services.table.current(),
    schemes: services.schemes,
    normalizeAddress: services.normalizeAddress,
    log: logTo(plugin),
    ...(mail.sender !== '' && { answersEncrypted }),
    ...(mail.raisedBy !== undefined && { raisedBy: mail.raisedBy }),
  })
}

/** The word of an operator counts where the table leaves a choice, and the sender has not made one. */
function refuseWhereRequired(services: Services, mail: HeldMail, going: readonly Group[]): void {
  const table = services.table.current()
  for (const { decision, recipients } of going) {
    if (decision.kind !== 'hold') continue
    const strict = recipients.find(
      ({ address }) => table.ruleForAddress(address).encrypt === 'required',
    )
    if (strict || mail.raisedBy !== undefined)
      throw new PermError(
        'protection/refused',
        `${strict?.address ?? 'its sender'} requires encryption: it cannot be released in clear`,
      )
  }
}

/** An empty one, to make copies like. */
function transactionFor(plugin: Plugin, mail: HeldMail): Transaction {
  const { createTransaction } = plugin.haraka_require('transaction') as {
    readonly createTransaction: (uuid: string, cfg: unknown) => Transaction
  }
  const { cfg } = plugin.haraka_require('connection') as { readonly cfg: unknown }
  const transaction = createTransaction(`held-${mail.id}`, cfg)
  transaction.mail_from = envelopeAddress(mail.sender)
  return transaction
}

/** For `createRounds`: from the null sender, through the rules for all mail that Haraka makes itself. */
export async function tellSender(
  plugin: Plugin,
  mail: HeldMail,
  notice: Notice,
  expires: Date,
): Promise<void> {
  const me = plugin.config.get('me')
  const text = formatNotice(notice, mail, {
    me: typeof me === 'string' && me !== '' ? me : 'localhost',
    now: new Date(),
    expires,
  })
  const outbound = plugin.haraka_require('outbound') as Outbound
  await new Promise<void>((resolve, reject) => {
    outbound.send_email('<>', `<${mail.sender}>`, text, (code) => {
      if (code === OK) resolve()
      else if (code === DENY) reject(new PermError('haraka/queue', 'the notice cannot be queued'))
      else reject(new TempError('haraka/queue', 'the notice was not queued'))
    })
  })
}
