// `hisho decrypt`: a message on stdin, what was sealed in it on stdout.
import { hostname } from 'node:os'
import { PermError } from '../errors.ts'
import { fieldValue, fieldsNamed, type Field } from '../mail/header.ts'
import { collect, messageBytes, readMessage, type Message } from '../mail/message.ts'
import type { Scheme } from '../mail/scheme.ts'
import { findScheme, receive } from '../protection/incoming.ts'
import type { Services } from '../services/services.ts'
import { parseDecryptSettings } from '../services/plugin-settings.ts'
import type { Context } from './context.ts'
import { asUsage, visibleAddresses } from './encrypt.ts'
import { readRawMessage, writeMessage } from './message-io.ts'

export interface DecryptOptions {
  readonly recipients: readonly string[]
  /** As the gateway delivers: trace fields and our marks on top, forged marks gone. Else exactly what was sealed. */
  readonly deliver: boolean
}

/** What is not encrypted goes on as it came. Nothing is written before all of the plaintext is authenticated. */
export async function decrypt(
  context: Context,
  source: AsyncIterable<Uint8Array>,
  { recipients, deliver }: DecryptOptions,
): Promise<void> {
  const { terminal } = context
  const services = context.services('with-table')
  const raw = await readRawMessage(source)
  const { scheme, message } = await findScheme(await readMessage([raw.bytes]), services.schemes)
  if (!scheme && !deliver) return terminal.write(raw.original)
  if (scheme) {
    await context.passphrase() // asked for while it can be
    terminal.progress('opening the vault (takes about a second)')
  }
  const addresses = addressees(message.fields, recipients, services)
  const opened =
    scheme && !deliver
      ? await openExactly(scheme, message, addresses)
      : await openForDelivery(context, raw.bytes, addresses)
  const bytes = await collect(messageBytes(opened))
  await writeMessage(terminal, bytes, raw.lineEnd)
}

async function openExactly(
  scheme: Scheme,
  message: Message,
  addresses: readonly string[],
): Promise<Message> {
  const opening = await scheme.open(message, addresses)
  if (opening.status === 'closed') throw closed(opening.reason)
  return opening.message
}

async function openForDelivery(
  context: Context,
  bytes: Uint8Array,
  addresses: readonly string[],
): Promise<Message> {
  const { schemes, normalizeAddress, table } = context.services('with-table')
  const { authservIds, limits, tags, activeContent } = parseDecryptSettings(
    context.haraka().ini('hisho.decrypt.ini'),
  )
  const host = context.haraka().value('me') ?? hostname()
  const arrival = await receive(
    await readMessage([bytes]),
    addresses.map((address) => ({ address, domain: address.slice(address.lastIndexOf('@') + 1) })),
    {
      schemes,
      normalizeAddress,
      authservIds: new Set([host.toLowerCase(), ...authservIds]),
      limits,
      tags,
      activeContent,
      reference: 'hisho decrypt',
      allowsUnproven: (domain) => table.current().ruleFor(domain).unproven === 'open',
    },
  )
  if (arrival.status === 'closed') throw closed(arrival.reason)
  if (arrival.status === 'opened') return arrival.message
  return { ...(await readMessage([bytes])), fields: arrival.fields }
}

/** That it is for others only is no damage, and has an exit code of its own. */
function closed(reason: string): PermError {
  return reason.startsWith('container/no-match')
    ? new PermError('container/no-match', `not to be opened here: ${reason}`)
    : new PermError('ibe/decrypt', `it does not open: ${reason}`)
}

/**
 * Those for whom the mail came. A delivery agent writes the envelope's recipient into the topmost Delivered-To or
 * X-Original-To; without it, To and Cc have to do.
 */
function addressees(
  fields: readonly Field[],
  recipients: readonly string[],
  { normalizeAddress }: Services,
): string[] {
  if (recipients.length > 0) return recipients.map((address) => asUsage(address, normalizeAddress))
  const envelope = ['delivered-to', 'x-original-to'].flatMap((name) => {
    const field = fieldsNamed(fields, name)[0]
    if (!field) return []
    try {
      return [normalizeAddress(fieldValue(field).replace(/^<(.*)>$/, '$1'))]
    } catch {
      return []
    }
  })
  return envelope.length > 0 ? envelope : visibleAddresses(fields, normalizeAddress)
}
