// Who hands us a message, and what that proves of its author.
import { isIPv6, type BlockList } from 'node:net'
import type { Field } from '../mail/header.ts'
import { judgeSender, type Submitter } from '../protection/sender.ts'
import { triggerOf, type Triggers } from '../protection/trigger.ts'
import type { Services } from '../services/services.ts'
import type { Connection } from './api.ts'
import { fieldsNamedIn } from './header-list.ts'

export function submitterOf(connection: Connection, relayNetworks: BlockList): Submitter {
  const { auth_user: user } = connection.notes
  if (typeof user === 'string' && user !== '') return { kind: 'user', name: user }
  const { ip } = connection.remote
  return ip !== undefined && relayNetworks.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4')
    ? { kind: 'relay-network' }
    : { kind: 'unknown' }
}

/** The address of ours that a signature inside may speak for. undefined: nobody has proven to be the author. */
export function authorOf(
  fields: readonly Field[],
  submitter: Submitter,
  { table, normalizeAddress }: Services,
): string | undefined {
  const verdict = judgeSender(fields, submitter, { table: table.current(), normalizeAddress })
  return verdict.status === 'owner' ? verdict.address : undefined
}

/** Whether it comes from our own side: users who have proven it, and hosts that relay by right. */
export function isOurs(connection: Connection): boolean {
  const { auth_user: user } = connection.notes
  return connection.relaying || (typeof user === 'string' && user !== '')
}

/** By what a sender of ours asks for encryption. */
export function triggerIn(connection: Connection, triggers: Triggers): string | undefined {
  if (!connection.transaction || !isOurs(connection)) return undefined
  const names = new Set(['subject', ...triggers.headers.map(({ name }) => name)])
  return triggerOf(fieldsNamedIn(connection.transaction.header, names), triggers)
}
