// hisho/decrypt: mail that arrives for our domains is opened, and forged marks of ours are removed.
import type { Connection, Plugin } from '../../lib/haraka/api.ts'
import { forget, openTransaction, tagTransaction } from '../../lib/haraka/decrypt.ts'
import { GO_ON, hook } from '../../lib/haraka/hook.ts'
import { keepPlaintextOutOfBounces } from '../../lib/haraka/opened-bounces.ts'
import { splitOpened } from '../../lib/haraka/opened-copies.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { readIni, servicesOf } from '../../lib/haraka/process.ts'
import { PRIORITY, registerWithGate } from '../../lib/haraka/registration.ts'
import { parseDecryptSettings } from '../../lib/services/plugin-settings.ts'

export { check_hooks } from '../../lib/haraka/registration.ts'

const settings = liveSettings('hisho.decrypt.ini', readIni, parseDecryptSettings)

export function register(this: Plugin): void {
  settings.load(this)
  registerWithGate(this, 'hisho/decrypt_gate')
  keepPlaintextOutOfBounces(this)
  this.register_hook('data_post', 'open_message')
  this.register_hook('data_post', 'tag_subject', PRIORITY.tagSubject)
  this.register_hook('queue', 'split_opened', PRIORITY.decryptSplit)
  this.register_hook('queue_outbound', 'split_opened', PRIORITY.decryptSplit)
  this.register_hook('reset_transaction', 'forget_message')
}

export const open_message = hook<Connection>(async (plugin, connection, deadline) =>
  openTransaction(
    { plugin, services: servicesOf(plugin), settings: settings.current() },
    connection,
    deadline,
  ),
)

export const tag_subject = hook<Connection>(async (plugin, connection) =>
  tagTransaction(
    { plugin, services: servicesOf(plugin), settings: settings.current() },
    connection,
  ),
)

export const split_opened = hook<Connection>(async (plugin, connection, deadline) =>
  splitOpened(plugin, connection, deadline),
)

export const forget_message = hook<Connection>(async (_plugin, connection) => {
  forget(connection.transaction)
  return GO_ON
})
