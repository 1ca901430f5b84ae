// hisho/sign_gate, loaded by hisho/sign: nothing goes out that sign has not looked at.
import type { Connection, Plugin } from '../../lib/haraka/api.ts'
import { checkConsidered } from '../../lib/haraka/gates.ts'
import { hook } from '../../lib/haraka/hook.ts'
import { PRIORITY } from '../../lib/haraka/registration.ts'

export function register(this: Plugin): void {
  this.register_hook('queue', 'check_considered', PRIORITY.signGate)
  this.register_hook('queue_outbound', 'check_considered', PRIORITY.signGate)
}

export const check_considered = hook<Connection>(async (_plugin, connection) =>
  checkConsidered(connection),
)
