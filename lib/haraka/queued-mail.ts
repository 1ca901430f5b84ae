// What becomes of a mail in the queue that cannot go now, or never, and what its sender reads of it: RFC 3463, RFC 3464.
import type { Plan } from '../delivery/order.ts'
import type { Failure } from './host-attempt.ts'
import type { Round } from './next-hops.ts'
import type { QueuedMail } from './outbound.ts'

/** A line of a bounce has room for no more. */
const MAX_REASON = 600

/** RFC 8689 section 4.2.1: 5.7.30, "REQUIRETLS support required", once the queue gives up. */
const REQUIRETLS = '4.7.30'
const CRYPTOGRAPHIC = '4.7.5'
const NO_ANSWER = '4.4.1'

export function defer(hmail: QueuedMail, status: string, reason: string): void {
  const text = oneLine(reason)
  explain(hmail, { action: 'delayed', code: 450, status, text })
  hmail.temp_fail(text)
}

export function refuse(hmail: QueuedMail, plan: Extract<Plan, { status: 'refuse' }>): void {
  const text = oneLine(plan.reason)
  explain(hmail, { action: 'failed', code: 550, status: plan.dsn, text })
  hmail.bounce(text)
}

/** All hosts have failed: in words, for the queue's log and the bounce that may come. undefined: nothing is known. */
export function explainFailures({ hmail, order, failures }: Round): string | undefined {
  if (failures.length === 0) return undefined
  const text = oneLine(`${order.domain}: ${wordsOf(failures)}`)
  explain(hmail, { action: 'delayed', code: 450, status: statusOf(order, failures), text })
  return text
}

export function statusOf(
  { requireTls }: Pick<Round['order'], 'requireTls'>,
  failures: readonly Pick<Failure, 'isPolicy'>[],
): string {
  if (failures.every(({ isPolicy }) => !isPolicy)) return NO_ANSWER
  return requireTls ? REQUIRETLS : CRYPTOGRAPHIC
}

function wordsOf(failures: readonly Failure[]): string {
  return [...new Set(failures.map(({ host, reason }) => `${host}: ${reason}`))].join('; ')
}

interface Explanation {
  readonly action: 'delayed' | 'failed'
  readonly code: number
  readonly status: string
  readonly text: string
}

function explain(hmail: QueuedMail, { action, code, status, text }: Explanation): void {
  for (const recipient of hmail.todo?.rcpt_to ?? []) {
    recipient.dsn_action = action
    recipient.dsn_code = code
    recipient.dsn_status = status
    recipient.dsn_msg = text
    recipient.reason = text
  }
}

/** Of what servers say, nothing may begin a line of its own. */
function oneLine(text: string): string {
  const line = text.replaceAll(/[^\x20-\x7e]+/g, ' ')
  return line.length > MAX_REASON ? `${line.slice(0, MAX_REASON)}...` : line
}
