// A report of one day, as one organisation sends it to another: RFC 8460 section 4. JSON of it is I-JSON (RFC 7493).
import { isIPv6, SocketAddress } from 'node:net'
import { domainToASCII } from 'node:url'

/** RFC 8460 section 4.4. */
export const POLICY_TYPES = ['tlsa', 'sts', 'no-policy-found'] as const
export type PolicyType = (typeof POLICY_TYPES)[number]

/** RFC 8460 section 4.3, the registry of section 6.6. */
export const RESULT_TYPES = [
  'starttls-not-supported',
  'certificate-host-mismatch',
  'certificate-expired',
  'certificate-not-trusted',
  'validation-failure',
  'tlsa-invalid',
  'dnssec-invalid',
  'dane-required',
  'sts-policy-fetch-error',
  'sts-policy-invalid',
  'sts-webpki-invalid',
] as const
export type ResultType = (typeof RESULT_TYPES)[number]

export interface Report {
  readonly organizationName: string
  readonly contactInfo: string
  readonly reportId: string
  /** The date-range; of a day of ours its first and its last second. */
  readonly beginsAtMs: number
  readonly endsAtMs: number
  readonly policies: readonly PolicyReport[]
}

export interface PolicyReport {
  readonly policy: ReportedPolicy
  readonly successfulSessions: number
  readonly failedSessions: number
  readonly failures: readonly FailureDetail[]
}

export interface ReportedPolicy {
  readonly policyType: PolicyType
  /** Of `tlsa` the base domain of the host, otherwise the domain of the recipients. */
  readonly policyDomain: string
  /** RFC 8460 section 4.5: TLSA RDATA in presentation form, or the lines of the policy file. */
  readonly policyStrings: readonly string[]
  readonly mxHosts: readonly string[]
}

export interface FailureDetail {
  /** One of RESULT_TYPES when it is ours. */
  readonly resultType: string
  readonly failedSessions: number
  readonly sendingMtaIp?: string
  readonly receivingMxHostname?: string
  /** The name in the banner of the receiving server. */
  readonly receivingMxHelo?: string
  readonly receivingIp?: string
  readonly failureReasonCode?: string
  /** A URI (RFC 8460 section 4.4), though senders put text there too. */
  readonly additionalInformation?: string
}

/** A report of ours, or one of somebody else's that lacks dates or has policy types of its own. */
export interface AnyReport extends Pick<Report, 'organizationName' | 'contactInfo' | 'reportId'> {
  readonly beginsAtMs: number | undefined
  readonly endsAtMs: number | undefined
  readonly policies: readonly (Omit<PolicyReport, 'policy'> & {
    readonly policy: Omit<ReportedPolicy, 'policyType'> & { readonly policyType: string }
  })[]
}

/** Canonical: names as A-labels (errata 6241 for mx-host), addresses as RFC 5952 has them, times as RFC 3339. */
export function formatReport(report: AnyReport): string {
  return JSON.stringify({
    'organization-name': well(report.organizationName),
    'date-range': {
      'start-datetime': formatTime(report.beginsAtMs),
      'end-datetime': formatTime(report.endsAtMs),
    },
    'contact-info': well(report.contactInfo),
    'report-id': well(report.reportId),
    policies: report.policies.map(policyReport),
  })
}

function policyReport({
  policy,
  successfulSessions,
  failedSessions,
  failures,
}: AnyReport['policies'][number]) {
  const { policyType, policyDomain, policyStrings, mxHosts } = policy
  return {
    policy: {
      'policy-type': policyType,
      ...(policyStrings.length > 0 && { 'policy-string': policyStrings.map(well) }),
      'policy-domain': aLabels(policyDomain),
      // RFC 8460, errata 6241: an array, though the examples have a string.
      ...(mxHosts.length > 0 && { 'mx-host': mxHosts.map(aLabels) }),
    },
    summary: {
      'total-successful-session-count': integer(successfulSessions),
      'total-failure-session-count': integer(failedSessions),
    },
    ...(failures.length > 0 && { 'failure-details': failures.map(failureDetail) }),
  }
}

function failureDetail(failure: FailureDetail) {
  const { sendingMtaIp, receivingMxHostname, receivingMxHelo, receivingIp } = failure
  const { additionalInformation, failureReasonCode } = failure
  return {
    'result-type': failure.resultType,
    ...(sendingMtaIp !== undefined && { 'sending-mta-ip': formatAddress(sendingMtaIp) }),
    ...(receivingMxHostname !== undefined && {
      'receiving-mx-hostname': aLabels(receivingMxHostname),
    }),
    ...(receivingMxHelo !== undefined && { 'receiving-mx-helo': well(receivingMxHelo) }),
    ...(receivingIp !== undefined && { 'receiving-ip': formatAddress(receivingIp) }),
    'failed-session-count': integer(failure.failedSessions),
    ...(additionalInformation !== undefined && {
      'additional-information': well(additionalInformation),
    }),
    ...(failureReasonCode !== undefined && { 'failure-reason-code': well(failureReasonCode) }),
  }
}

/** RFC 3339 section 5.6, in whole seconds. */
function formatTime(ms: number | undefined): string | undefined {
  if (ms === undefined) return undefined
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** RFC 5952. A socket for both families shows IPv4 addresses as IPv6 ones: they are given as what they are. */
export function formatAddress(address: string): string {
  const [bare = ''] = address.split('%')
  if (!isIPv6(bare)) return bare
  const { address: canonical } = new SocketAddress({ address: bare, family: 'ipv6' })
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1] ?? canonical
}

/** RFC 5891 section 2.3.2.1. What is no name stays as it is: somebody published it so. */
function aLabels(name: string): string {
  return domainToASCII(name) || well(name)
}

/** RFC 7493 section 2.2: what a double can hold exactly. */
function integer(count: number): number {
  return Math.min(Math.max(0, Math.trunc(count)), Number.MAX_SAFE_INTEGER)
}

/** RFC 7493 section 2.1: no half of a surrogate pair. */
function well(text: string): string {
  return Buffer.from(text).toString()
}
