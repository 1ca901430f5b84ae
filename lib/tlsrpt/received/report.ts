// A report that somebody sent us about our own domains, as it is kept and shown: RFC 8460 section 4.4 in our words.

export interface ReceivedReport {
  readonly organization: string
  readonly contact: string
  /** Empty where the sender gave none. */
  readonly reportId: string
  /** RFC 3339, UTC; undefined where there was none to be read. */
  readonly begin: string | undefined
  readonly end: string | undefined
  readonly policies: readonly ReceivedPolicy[]
  /** What the standard has otherwise, in words. */
  readonly deviations: readonly string[]
}

/** Texts are empty where the report has none. */
export interface ReceivedPolicy {
  /** `sts`, `tlsa`, `no-policy-found`, or what the sender made of it. */
  readonly policyType: string
  readonly policyDomain: string
  readonly policyStrings: readonly string[]
  readonly mxHosts: readonly string[]
  readonly successful: number
  readonly failed: number
  readonly failures: readonly ReceivedFailure[]
}

export interface ReceivedFailure {
  /** One of the registry, or what the sender made of it. */
  readonly resultType: string
  readonly sendingIp: string
  readonly receivingHost: string
  readonly receivingHelo: string
  readonly receivingIp: string
  readonly count: number
  readonly information: string
  readonly reasonCode: string
}

/** As RFC 8460 section 4.4 has it, for keeping: what parseReport makes of it is the same report, without deviations. */
export function formatReceived(report: ReceivedReport): string {
  const { organization, contact, reportId, begin, end, policies } = report
  return JSON.stringify({
    'organization-name': organization,
    'date-range': { 'start-datetime': begin, 'end-datetime': end },
    'contact-info': contact,
    'report-id': reportId,
    policies: policies.map((policy) => ({
      policy: {
        'policy-type': policy.policyType,
        'policy-string': policy.policyStrings,
        'policy-domain': policy.policyDomain,
        'mx-host': policy.mxHosts,
      },
      summary: {
        'total-successful-session-count': policy.successful,
        'total-failure-session-count': policy.failed,
      },
      'failure-details': policy.failures.map(formatFailure),
    })),
  })
}

function formatFailure(failure: ReceivedFailure): object {
  return {
    'result-type': failure.resultType,
    'sending-mta-ip': failure.sendingIp || undefined,
    'receiving-mx-hostname': failure.receivingHost || undefined,
    'receiving-mx-helo': failure.receivingHelo || undefined,
    'receiving-ip': failure.receivingIp || undefined,
    'failed-session-count': failure.count,
    'additional-information': failure.information || undefined,
    'failure-reason-code': failure.reasonCode || undefined,
  }
}

/** The failed sessions by their type, those that a sender has only in his sum as `unspecified`. */
export function failuresByType({ failed, failures }: ReceivedPolicy): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { resultType, count } of failures)
    counts.set(resultType, (counts.get(resultType) ?? 0) + count)
  if (counts.size === 0 && failed > 0) counts.set('unspecified', failed)
  return counts
}
