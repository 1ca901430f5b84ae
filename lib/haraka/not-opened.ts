// What becomes of an encrypted message that is not opened: it is held, or goes on as it came with a mark that scanners see.
import { TempError } from '../errors.ts'
import { notOpenedText, type NotOpenedReason } from '../mail/opened-mark.ts'
import type { DecryptSettings } from '../services/decrypt-settings.ts'
import type { Connection, Transaction } from './api.ts'

/** A note, for other plugins and for the queue: whether the message was encrypted, and whether it is still. */
export interface ArrivalNote {
  readonly encrypted: true
  readonly opened: boolean
  /** Why not, or why there is still a ciphertext inside. */
  readonly reason?: NotOpenedReason
}

const KEY = 'hisho_arrival'

export function arrivalNote(note: ArrivalNote): Readonly<Record<string, ArrivalNote>> {
  return { [KEY]: note }
}

export function wasOpened(notes: Readonly<Record<string, unknown>>): boolean {
  const found = notes[KEY]
  return typeof found === 'object' && found !== null && 'opened' in found && found.opened === true
}

/** TempError where it is to be held. */
export function holdBack(
  why: NotOpenedReason,
  { limits, replay }: DecryptSettings,
  refusal: (code: 'protection/limit' | 'protection/replay') => TempError,
): void {
  if (why === 'limit' && limits.onLimit === 'hold') throw refusal('protection/limit')
  if (why === 'replay' && replay.onReplay === 'hold') throw refusal('protection/replay')
}

/** Of mail to users of ours: what they send out themselves is for others to open. */
export function markNotOpened(
  connection: Connection,
  transaction: Transaction,
  why: NotOpenedReason,
): void {
  Object.assign(transaction.notes, arrivalNote({ encrypted: true, opened: false, reason: why }))
  if (connection.relaying) return
  transaction.add_leading_header('Hisho-Not-Decrypted', notOpenedText(why, transaction.uuid))
}
