// hisho/encrypt: mail that goes out is encrypted as config/hisho.yaml says.
import type { Connection, Plugin } from '../../lib/haraka/api.ts'
import { protectConnection, protectGenerated } from '../../lib/haraka/encrypt.ts'
import { startRounds } from '../../lib/haraka/held-rounds.ts'
import { GO_ON, hook } from '../../lib/haraka/hook.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { readIni, servicesOf } from '../../lib/haraka/process.ts'
import { PRIORITY, registerWithGate } from '../../lib/haraka/registration.ts'
import { parseEncryptSettings, parseSignSettings } from '../../lib/services/plugin-settings.ts'

export { check_hooks } from '../../lib/haraka/registration.ts'

const settings = liveSettings('hisho.encrypt.ini', readIni, parseEncryptSettings)
const signSettings = liveSettings('hisho.sign.ini', readIni, parseSignSettings)

export function register(this: Plugin): void {
  settings.load(this)
  signSettings.load(this)
  registerWithGate(this, 'hisho/encrypt_gate')
  this.register_hook('queue', 'protect_message', PRIORITY.encrypt)
  this.register_hook('queue_outbound', 'protect_message', PRIORITY.encrypt)
  this.register_hook('pre_send_trans_email', 'protect_generated', PRIORITY.encrypt)
  this.register_hook('init_master', 'start_rounds')
  this.register_hook('init_child', 'start_rounds')
}

const contextOf = (plugin: Plugin) => ({
  plugin,
  services: servicesOf(plugin),
  settings: settings.current(),
  relayNetworks: signSettings.current().relayNetworks,
})

export const protect_message = hook<Connection>(async (plugin, connection, deadline) =>
  settings.current().enabled ? protectConnection(contextOf(plugin), connection, deadline) : GO_ON,
)

export const protect_generated = hook<Connection>(async (plugin, connection, deadline) =>
  settings.current().enabled ? protectGenerated(contextOf(plugin), connection, deadline) : GO_ON,
)

/** init_master and init_child */
export const start_rounds = startRounds(() => settings.current().enabled)
