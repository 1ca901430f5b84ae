// hisho/sign: mail of our own users is signed in the name of their address, before it is encrypted.
import type { Connection, Plugin } from '../../lib/haraka/api.ts'
import { hook } from '../../lib/haraka/hook.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { readIni, servicesOf } from '../../lib/haraka/process.ts'
import { PRIORITY, registerWithGate } from '../../lib/haraka/registration.ts'
import { signTransaction } from '../../lib/haraka/sign.ts'
import { parseSignSettings } from '../../lib/services/plugin-settings.ts'

export { check_hooks } from '../../lib/haraka/registration.ts'

const settings = liveSettings('hisho.sign.ini', readIni, parseSignSettings)

export function register(this: Plugin): void {
  settings.load(this)
  registerWithGate(this, 'hisho/sign_gate')
  this.register_hook('queue', 'sign_message', PRIORITY.sign)
  this.register_hook('queue_outbound', 'sign_message', PRIORITY.sign)
}

export const sign_message = hook<Connection>(async (plugin, connection, deadline) =>
  signTransaction(
    { plugin, services: servicesOf(plugin), settings: settings.current() },
    connection,
    deadline,
  ),
)
