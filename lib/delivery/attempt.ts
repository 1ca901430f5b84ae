// One attempt to hand mail to one host, as it ended: for the log, and for whoever counts (RFC 8460).
import type { PlannedHost } from './order.ts'
import type { Judgement } from './judge.ts'

export interface Attempt {
  readonly atMs: number
  readonly domain: string
  readonly planned: PlannedHost
  /** The host's address that was tried. */
  readonly receivingIp: string
  /** Ours; undefined if no connection came about. */
  readonly sendingIp: string | undefined
  /** What the server calls itself in its greeting. */
  readonly helo: string | undefined
  readonly outcome:
    | { readonly status: 'judged'; readonly judgement: Judgement }
    /** No connection, or a server that greets with a refusal: nothing that TLS had a part in. */
    | { readonly status: 'unreached'; readonly reason: string }
    /** TLS was neither offered nor needed, or the operator has switched it off. */
    | { readonly status: 'clear'; readonly reason: string }
  /** What satisfied the floor of the domain. */
  readonly floor: FloorOutcome
  /** Whether the mail was a report of ours. */
  readonly isTlsReport: boolean
}

export type FloorOutcome = 'none' | 'met by transport' | 'met by content' | 'not met'

export function formatAttempt({ domain, planned, receivingIp, outcome, floor }: Attempt): string {
  const head = `delivery to ${domain} at ${planned.host} [${receivingIp}] (${requirementWords(planned)})`
  const tail = floor === 'none' ? '' : `; floor ${floor}`
  return `${head}: ${outcomeWords(outcome)}${tail}`
}

function outcomeWords(outcome: Attempt['outcome']): string {
  if (outcome.status === 'unreached') return `not reached: ${outcome.reason}`
  if (outcome.status === 'clear') return `in clear: ${outcome.reason}`
  const { verdict, reason, results, authenticated } = outcome.judgement
  const seen = results.map(({ policyType, resultType }) => `${policyType} ${resultType}`).join(', ')
  const done = {
    deliver: authenticated ? 'TLS, authenticated' : 'TLS',
    'next-host': `not used: ${reason}`,
    'without-tls': `without TLS: ${reason}`,
  }[verdict]
  return `${done} (${seen})`
}

function requirementWords({ requirement, evidence }: PlannedHost): string {
  const { sts } = evidence
  const policy = sts.status === 'found' ? `, MTA-STS ${sts.policy.mode}` : ''
  return `${requirement.kind}${policy}`
}
