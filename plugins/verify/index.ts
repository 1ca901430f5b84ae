// hisho/verify: signatures of mail that arrives are judged, behind hisho/decrypt.
import type { Connection, Plugin } from '../../lib/haraka/api.ts'
import { hook } from '../../lib/haraka/hook.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { readIni, servicesOf } from '../../lib/haraka/process.ts'
import { registerWithGate } from '../../lib/haraka/registration.ts'
import { verifyTransaction } from '../../lib/haraka/verify.ts'
import { parseVerifySettings } from '../../lib/services/plugin-settings.ts'

export { check_hooks } from '../../lib/haraka/registration.ts'

const settings = liveSettings('hisho.verify.ini', readIni, parseVerifySettings)

export function register(this: Plugin): void {
  settings.load(this)
  registerWithGate(this, 'hisho/verify_gate')
  this.register_hook('data_post', 'verify_message')
}

export const verify_message = hook<Connection>(async (plugin, connection) =>
  verifyTransaction(
    { plugin, services: servicesOf(plugin), settings: settings.current() },
    connection,
  ),
)
