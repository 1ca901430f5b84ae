// What hisho/decrypt does in the queue hooks: those recipients for whom a message was not opened get the ciphertext.
import { formatNotOpened } from '../mail/opened-mark.ts'
import { OK, type Address, type Connection, type Plugin, type PluginsModule } from './api.ts'
import { whatWasSeen } from './decrypt.ts'
import { stillWanted } from './envelope.ts'
import { readExact } from './exact-message.ts'
import { GO_ON, type Deadline, type Verdict } from './hook.ts'
import { setMark } from './mark.ts'
import { arrivalNote, type ArrivalNote } from './not-opened.ts'
import { outboundOf } from './outbound.ts'
import { queueCopies } from './queue-copies.ts'
import { routeOfCopies } from './route.ts'

/** queue and queue_outbound, before encrypt: two copies where the recipients may not all read the same. */
export async function splitOpened(
  plugin: Plugin,
  connection: Connection,
  deadline: Deadline,
): Promise<Verdict> {
  const transaction = connection.transaction
  const found = transaction && whatWasSeen(transaction)
  if (!transaction || !found?.sealed || !found.opened) return GO_ON
  const { sealed, opened } = found
  const checkStillWanted = stillWanted(connection, transaction, deadline)
  const route = routeOfCopies(plugin.haraka_require('plugins') as PluginsModule, connection)
  const options = { ...outboundOf(plugin), checkStillWanted }
  const mark = formatNotOpened('closed', transaction.uuid)
  await queueCopies(
    transaction,
    [
      {
        recipients: opened,
        notes: notesOf(opened, route, 'opened here', { encrypted: true, opened: true }),
        message: () => readExact(transaction, { undoRenaming: false }),
      },
      {
        recipients: sealed.recipients,
        notes: notesOf(sealed.recipients, route, 'ciphertext for others', {
          encrypted: true,
          opened: false,
          reason: 'closed',
        }),
        message: async () => {
          const kept = await readExact(sealed.transaction, { undoRenaming: false })
          return connection.relaying ? kept : { ...kept, fields: [mark, ...kept.fields] }
        },
      },
    ],
    options,
  )
  return { code: OK, message: 'queued as 2 messages' }
}

function notesOf(
  recipients: readonly Address[],
  route: Readonly<Record<string, unknown>>,
  reason: string,
  note: ArrivalNote,
): Record<string, unknown> {
  const notes: Record<string, unknown> = { ...route, ...arrivalNote(note) }
  setMark(notes, {
    protected: !note.opened,
    reason,
    recipients: recipients.map((recipient) => recipient.address),
  })
  return notes
}
