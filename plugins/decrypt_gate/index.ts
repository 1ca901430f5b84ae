// hisho/decrypt_gate, loaded by hisho/decrypt: nothing is delivered that decrypt has not looked at.
import type { Connection, Plugin } from '../../lib/haraka/api.ts'
import { checkArrived } from '../../lib/haraka/gates.ts'
import { hook } from '../../lib/haraka/hook.ts'
import { PRIORITY } from '../../lib/haraka/registration.ts'

export function register(this: Plugin): void {
  this.register_hook('queue', 'check_arrived', PRIORITY.decryptGate)
  this.register_hook('queue_outbound', 'check_arrived', PRIORITY.decryptGate)
}

export const check_arrived = hook<Connection>(async (_plugin, connection) =>
  checkArrived(connection),
)
