// A report that arrives, by mail or by HTTPS: read, kept, and told of where sessions to a domain of ours failed.
import { PermError } from '../../errors.ts'
import type { Alerts } from '../alerts.ts'
import { parseReport, type ReportLimits } from '../parse-report.ts'
import type { Keeping, KeptReports, Origin } from './kept.ts'
import { failuresByType, type ReceivedPolicy, type ReceivedReport } from './report.ts'

export interface Received {
  readonly status: Keeping
  readonly report: ReceivedReport
}

export interface ReceiverOptions {
  readonly kept: KeptReports
  readonly alerts: Alerts
  readonly limits: ReportLimits
  readonly isOurs: (domain: string) => boolean
  readonly log: (level: 'info' | 'notice' | 'warn', message: string) => void
  /** `dkim`: of mail, only what carries a good signature of the organisation. */
  readonly proof: 'none' | 'dkim'
}

export interface Receiver {
  /** PermError tlsrpt/malformed, or protection/refused where the proof is missing; TempError cache/*. */
  receive(bytes: Uint8Array, origin: Origin): Promise<Received>
}

export function createReceiver(options: ReceiverOptions): Receiver {
  const { kept, limits, log, proof } = options
  return {
    async receive(bytes, origin) {
      const report = await parseReport(bytes, limits)
      if (proof === 'dkim' && origin.via === 'mail' && !isSigned(report, origin))
        throw new PermError(
          'protection/refused',
          `report of ${report.organizationName}: no good DKIM signature of ${report.contactInfo}`,
        )
      const status = await kept.keep(report, origin)
      if (status === 'kept') announce(report, origin, options)
      else if (status === 'full')
        log('warn', `a report of ${report.organizationName} is not kept: there are too many`)
      return { status, report }
    },
  }
}

/** RFC 8460 section 3: the signature is the reporting domain's, which contact-info names (section 5.3). */
function isSigned({ contactInfo }: ReceivedReport, { dkim }: Origin): boolean {
  const domain = contactInfo.slice(contactInfo.lastIndexOf('@') + 1).toLowerCase()
  return dkim.some(
    (signer) => signer === domain || domain.endsWith(`.${signer}`) || signer.endsWith(`.${domain}`),
  )
}

function announce(
  report: ReceivedReport,
  origin: Origin,
  { alerts, isOurs, log }: ReceiverOptions,
): void {
  const { organizationName, reportId, policies } = report
  log(
    'info',
    `report ${reportId} of ${organizationName} received by ${origin.via}: ${policies.map(words).join('; ')}`,
  )
  for (const policy of policies) {
    const domain = policy.policy.policyDomain
    const failures = failuresByType(policy)
    if (failures.size === 0 || !isOurs(domain)) continue
    alerts.raise({
      direction: 'theirs',
      domain,
      failures,
      reporter: organizationName,
      sessions: policy.successfulSessions + policy.failedSessions,
      ...reasonOf(policy),
    })
  }
}

function reasonOf({ failures }: ReceivedPolicy): { readonly reason?: string } {
  const reason = failures.find(({ failureReasonCode }) => failureReasonCode)?.failureReasonCode
  return reason === undefined ? {} : { reason }
}

function words({ policy, successfulSessions, failedSessions }: ReceivedPolicy): string {
  const { policyType, policyDomain } = policy
  return `${policyDomain || 'no domain'} (${policyType}) ${successfulSessions} good, ${failedSessions} failed`
}
