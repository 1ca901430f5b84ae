// hisho/encrypt: mail that goes out is encrypted as config/hisho.yaml says.
import type { Connection, Plugin } from '../../lib/haraka/api.ts'
import { protectConnection, protectGenerated } from '../../lib/haraka/encrypt.ts'
import { GO_ON, hook } from '../../lib/haraka/hook.ts'
import { readIni, servicesOf } from '../../lib/haraka/process.ts'
import { PRIORITY, registerWithGate } from '../../lib/haraka/registration.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { parseEncryptSettings } from '../../lib/services/plugin-settings.ts'

export { check_hooks } from '../../lib/haraka/registration.ts'

const settings = liveSettings('hisho.encrypt.ini', readIni, parseEncryptSettings)

export function register(this: Plugin): void {
  settings.load(this)
  registerWithGate(this, 'hisho/encrypt_gate')
  this.register_hook('queue', 'protect_message', PRIORITY.encrypt)
  this.register_hook('queue_outbound', 'protect_message', PRIORITY.encrypt)
  this.register_hook('pre_send_trans_email', 'protect_generated', PRIORITY.encrypt)
}

export const protect_message = hook<Connection>(async (plugin, connection, deadline) =>
  settings.current().enabled
    ? protectConnection(plugin, servicesOf(plugin), connection, deadline)
    : GO_ON,
)

export const protect_generated = hook<Connection>(async (plugin, connection, deadline) =>
  settings.current().enabled
    ? protectGenerated(plugin, servicesOf(plugin), connection, deadline)
    : GO_ON,
)
