// hisho/encrypt_gate, loaded by hisho/encrypt: nothing that must be encrypted passes in clear.
import type { Connection, HMail, Plugin } from '../../lib/haraka/api.ts'
import { checkProtected, checkQueued } from '../../lib/haraka/gates.ts'
import { hook } from '../../lib/haraka/hook.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { readIni, servicesOf } from '../../lib/haraka/process.ts'
import { PRIORITY } from '../../lib/haraka/registration.ts'
import { parseEncryptSettings } from '../../lib/services/plugin-settings.ts'

const settings = liveSettings('hisho.encrypt.ini', readIni, parseEncryptSettings)

export function register(this: Plugin): void {
  settings.load(this)
  this.register_hook('queue', 'check_protected', PRIORITY.encryptGate)
  this.register_hook('queue_outbound', 'check_protected', PRIORITY.encryptGate)
  this.register_hook('get_mx', 'check_queued', PRIORITY.getMxGate)
}

export const check_protected = hook<Connection>(async (plugin, connection) =>
  checkProtected(servicesOf(plugin), connection, settings.current().triggers),
)

export const check_queued = hook<HMail>(async (plugin, hmail) =>
  checkQueued(servicesOf(plugin), hmail),
)
