// hisho/verify_gate, loaded by hisho/verify: nothing is delivered whose signature was not looked at.
import type { Connection, Plugin } from '../../lib/haraka/api.ts'
import { checkJudged } from '../../lib/haraka/gates.ts'
import { hook } from '../../lib/haraka/hook.ts'
import { PRIORITY } from '../../lib/haraka/registration.ts'

export function register(this: Plugin): void {
  this.register_hook('queue', 'check_judged', PRIORITY.verifyGate)
  this.register_hook('queue_outbound', 'check_judged', PRIORITY.verifyGate)
}

export const check_judged = hook<Connection>(async (_plugin, connection) => checkJudged(connection))
