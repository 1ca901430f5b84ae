// REQUIRETLS and TLS-Required, RFC 8689: what a client asks for when it hands us a message, and what our own bounces owe.
import { AsyncLocalStorage } from 'node:async_hooks'
import { PermError } from '../errors.ts'
import type { Connection, HMail, Plugin, Transaction } from './api.ts'
import { addDeliveryNote, deliveryNoteOf } from './delivery-note.ts'
import { GO_ON, type Verdict } from './hook.ts'

/** EHLO: offered to those who speak TLS alone, RFC 8689 section 2. */
export async function offerRequireTls(connection: Connection, isOn: boolean): Promise<Verdict> {
  if (isOn && connection.tls.enabled) connection.capabilities?.push('REQUIRETLS')
  return GO_ON
}

/** MAIL: Haraka would take the parameter for one that it need not know, and the promise would be broken in silence. */
export async function takeRequireTls(
  connection: Connection,
  parameters: unknown,
  isOn: boolean,
): Promise<Verdict> {
  const asked = parametersOf(parameters)
  if (!connection.transaction || !('REQUIRETLS' in asked)) return GO_ON
  if (asked['REQUIRETLS'] !== null) throw refusal('REQUIRETLS takes no value')
  if (!isOn) throw refusal('REQUIRETLS is not offered here')
  // RFC 8689 section 4.1: what came in clear can keep no such promise.
  if (!connection.tls.enabled) throw refusal('REQUIRETLS is for TLS sessions')
  addDeliveryNote(connection.transaction.notes, { requireTls: true })
  return GO_ON
}

function refusal(peerText: string): PermError {
  return new PermError('delivery/requiretls', peerText, { peerText })
}

/** As Haraka gives them to hooks of MAIL: the address, then the parameters, by name. */
function parametersOf(parameters: unknown): object {
  const [, named] = Array.isArray(parameters) ? (parameters as unknown[]) : []
  return typeof named === 'object' && named !== null ? named : {}
}

/** pre_send_trans_email: whatever goes into the outbound queue, however it came to be. */
export function noteWishes(transaction: Transaction): void {
  // RFC 8689 section 3: "No" is the one value that there is; another one says nothing.
  if (/^\s*no\s*$/i.test(transaction.header.get('TLS-Required')))
    addDeliveryNote(transaction.notes, { tlsRequiredNo: true })
  if (bounced.getStore()?.requireTls) addDeliveryNote(transaction.notes, { requireTls: true })
}

const bounced = new AsyncLocalStorage<{ readonly requireTls: boolean }>()

interface BouncingPrototype {
  bounce_respond: (this: HMail, ...rest: unknown[]) => unknown
}

let patched: BouncingPrototype | undefined

/** RFC 8689 section 5: a bounce of such mail is such mail. Haraka makes it within bounce_respond. */
export function keepRequireTlsInBounces(plugin: Plugin): void {
  const { HMailItem } = plugin.haraka_require('outbound') as {
    readonly HMailItem: { readonly prototype: BouncingPrototype }
  }
  const { prototype } = HMailItem
  if (patched === prototype) return
  patched = prototype
  const original = prototype.bounce_respond
  prototype.bounce_respond = function bounceRespond(...rest) {
    const { requireTls } = deliveryNoteOf(this.todo?.notes ?? {})
    return bounced.run({ requireTls }, () => original.apply(this, rest))
  }
}
