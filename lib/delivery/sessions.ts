// What a delivery tells of TLS, for the report of the domain: of connections that were made, and of hosts that were passed
// over before one was. RFC 8460 section 4.3; what only the network kept from happening is no failure of TLS.
import { formatTlsa } from '../dane/tlsa.ts'
import type { ReportedPolicy } from '../tlsrpt/report.ts'
import type { Session, SessionResult } from '../tlsrpt/session.ts'
import type { Attempt } from './attempt.ts'
import type { Evidence, Order, Plan, SkippedHost } from './order.ts'

/** undefined: TLS had no part in it. */
export function sessionOf(attempt: Attempt): Session | undefined {
  const { outcome, planned } = attempt
  if (outcome.status !== 'judged') return undefined
  return {
    atMs: attempt.atMs,
    domain: planned.evidence.domain,
    results: outcome.judgement.results,
    sendingIp: attempt.sendingIp,
    host: planned.host,
    helo: attempt.helo,
    receivingIp: attempt.receivingIp,
  }
}

export function sessionsOfPlan(order: Order, plan: Plan, atMs: number): readonly Session[] {
  if (plan.status === 'refuse') return []
  const sessions = plan.skipped.flatMap((host) => sessionOfSkipped(host, atMs))
  const { stsFailure } = plan
  if (stsFailure === undefined) return sessions
  const evidence =
    plan.status === 'deliver'
      ? plan.hosts[0]?.evidence
      : plan.skipped.find((host) => host.evidence)?.evidence
  const domain = evidence?.domain ?? order.domain
  const { resultType, reason } = stsFailure
  const result = resultOf(stsPolicy(domain, evidence), resultType, reason)
  return [...sessions, { atMs, domain, results: [result] }]
}

function sessionOfSkipped(
  { host, resultType, reason, evidence }: SkippedHost,
  atMs: number,
): readonly Session[] {
  if (resultType === undefined || evidence === undefined) return []
  const isDane = resultType === 'dnssec-invalid' || resultType === 'dane-required'
  const policy = isDane ? tlsaPolicy(host, evidence) : bindingPolicy(evidence)
  const results = [resultOf(policy, resultType, reason)]
  return [{ atMs, domain: evidence.domain, results, host }]
}

function resultOf(
  { policyType, policyDomain, policyStrings, mxHosts }: ReportedPolicy,
  resultType: SessionResult['resultType'],
  reason: string,
): SessionResult {
  return {
    policyType,
    policyDomain,
    policyStrings,
    mxHostPatterns: mxHosts,
    resultType,
    reason,
  }
}

function tlsaPolicy(host: string, { dane }: Evidence): ReportedPolicy {
  const isPublished = dane.status === 'usable' || dane.status === 'unusable'
  return {
    policyType: 'tlsa',
    policyDomain: isPublished ? dane.baseDomain : host,
    policyStrings: isPublished ? dane.records.map(formatTlsa) : [],
    mxHosts: [],
  }
}

function bindingPolicy(evidence: Evidence): ReportedPolicy {
  if (evidence.sts.status === 'found') return stsPolicy(evidence.domain, evidence)
  return {
    policyType: 'no-policy-found',
    policyDomain: evidence.domain,
    policyStrings: [],
    mxHosts: [],
  }
}

function stsPolicy(domain: string, evidence: Evidence | undefined): ReportedPolicy {
  const policy = evidence?.sts.status === 'found' ? evidence.sts.policy : undefined
  return {
    policyType: 'sts',
    policyDomain: domain,
    policyStrings: policy?.lines ?? [],
    mxHosts: policy?.mx ?? [],
  }
}
