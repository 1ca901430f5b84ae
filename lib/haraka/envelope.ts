// The recipients of a transaction as lib/protection knows them, and whether anybody still waits for its answer.
import { TempError } from '../errors.ts'
import type { Address, Connection, Transaction } from './api.ts'
import type { Deadline } from './hook.ts'

export interface Recipient {
  readonly address: string
  readonly domain: string
  readonly envelope: Address
}

export function recipientsOf(transaction: Transaction): Recipient[] {
  return transaction.rcpt_to.map((envelope) => ({
    address: envelope.address,
    domain: envelope.host,
    envelope,
  }))
}

/** A function that throws once the answer was given, or the client is gone: nothing may be queued after that. */
export function stillWanted(
  connection: Connection,
  transaction: Transaction,
  deadline: Deadline,
): () => void {
  return () => {
    if (deadline.passed)
      throw new TempError('haraka/deadline', 'the deadline passed before the message was done with')
    if (connection.transaction !== transaction)
      throw new TempError('haraka/queue', 'the client went away')
  }
}
