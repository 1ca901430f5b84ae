// What a group of recipients gets: their copy for the queue, and the mark that says what was decided for them.
import type { Message } from '../mail/message.ts'
import type { OutgoingGroup } from '../protection/outgoing.ts'
import type { Services } from '../services/services.ts'
import type { Recipient } from './envelope.ts'
import { setMark, type Mark, type Permission } from './mark.ts'
import type { Copy } from './queue-copies.ts'

export type Group = OutgoingGroup<Recipient>

export interface CopyContext {
  readonly services: Services
  /** Who has proven to be its author. */
  readonly author: string | undefined
}

export function sealFor(
  { services, author }: CopyContext,
  { decision, recipients }: Group,
  message: Message,
): Message {
  if (decision.kind !== 'seal') return message
  const addresses = recipients.map((recipient) => services.normalizeAddress(recipient.address))
  return decision.offer.seal([...new Set(addresses)], message, { author })
}

export function markFor({ decision, recipients }: Group, permission?: Permission): Mark {
  const clear = decision.kind === 'clear' ? (decision.exempt ?? permission) : permission
  return {
    protected: decision.kind === 'seal' || decision.kind === 'ciphertext',
    reason: decision.reason,
    recipients: recipients.map((recipient) => recipient.address),
    ...(clear && { clear }),
  }
}

/** `open` reads the message anew: its turn comes later, and it is read once for each copy. */
export function copyFor(
  context: CopyContext,
  group: Group,
  notes: Readonly<Record<string, unknown>>,
  open: () => Promise<Message>,
  permission?: Permission,
): Copy {
  const own: Record<string, unknown> = { ...notes }
  setMark(own, markFor(group, permission))
  return {
    recipients: group.recipients.map((recipient) => recipient.envelope),
    message: async () => sealFor(context, group, await open()),
    notes: own,
  }
}
