// hisho/encrypt_gate, loaded by hisho/encrypt: nothing that must be encrypted passes in clear.
import type { Connection, HMail, Plugin } from '../../lib/haraka/api.ts'
import { checkProtected, checkQueued } from '../../lib/haraka/gates.ts'
import { hook } from '../../lib/haraka/hook.ts'
import { servicesOf } from '../../lib/haraka/process.ts'
import { PRIORITY } from '../../lib/haraka/registration.ts'

export function register(this: Plugin): void {
  this.register_hook('queue', 'check_protected', PRIORITY.encryptGate)
  this.register_hook('queue_outbound', 'check_protected', PRIORITY.encryptGate)
  this.register_hook('get_mx', 'check_queued', PRIORITY.getMxGate)
}

export const check_protected = hook<Connection>(async (plugin, connection) =>
  checkProtected(servicesOf(plugin), connection),
)

export const check_queued = hook<HMail>(async (plugin, hmail) =>
  checkQueued(servicesOf(plugin), hmail),
)
