// A report made short enough to be kept: rows of its details are put together until it fits. No session is lost by it.
import { formatReport, type FailureDetail } from '../report.ts'
import type { ReceivedPolicy, ReceivedReport } from './report.ts'

type Member = Exclude<keyof FailureDetail, 'resultType' | 'failedSessions'>

const HOST: readonly Member[] = ['receivingMxHostname']
const CAUSE: readonly Member[] = [...HOST, 'receivingIp', 'failureReasonCode']
const ALL: readonly Member[] = [
  ...CAUSE,
  'sendingMtaIp',
  'receivingMxHelo',
  'additionalInformation',
]

/** First the sender's addresses go, of which large senders have hundreds. */
const STEPS: readonly (readonly Member[])[] = [ALL, CAUSE, HOST, []]

const LEAST_ROW_BYTES = '{"result-type":"","failed-session-count":1},'.length

/** RFC 8460 JSON of at most so many bytes; undefined: even the shortest has more. */
export function condensed(report: ReceivedReport, maxBytes: number): string | undefined {
  let { policies } = report
  for (const members of STEPS) {
    policies = policies.map((policy) => withRows(policy, members))
    // Most need not be written down to be seen as too long.
    const rows = policies.reduce((sum, { failures }) => sum + failures.length, 0)
    if (rows * LEAST_ROW_BYTES > maxBytes) continue
    const text = formatReport({ ...report, policies })
    if (Buffer.byteLength(text) <= maxBytes) return text
  }
  return undefined
}

function withRows(policy: ReceivedPolicy, members: readonly Member[]): ReceivedPolicy {
  const rows = new Map<string, FailureDetail>()
  for (const { resultType, failedSessions, ...rest } of policy.failures) {
    const what: Partial<Record<Member, string>> = {}
    for (const member of members) {
      const text = rest[member]
      if (text !== undefined) what[member] = text
    }
    // No text of a report that was read has a line end.
    const key = [resultType, ...members.map((member) => what[member] ?? '')].join('\n')
    const known = rows.get(key)?.failedSessions ?? 0
    rows.set(key, { ...what, resultType, failedSessions: known + failedSessions })
  }
  return { ...policy, failures: [...rows.values()] }
}
