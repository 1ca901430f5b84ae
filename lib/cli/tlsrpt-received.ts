// `hisho tlsrpt show --received`: what others report of TLS to our domains.
import type { KeptReport } from '../tlsrpt/received/kept.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import type { Context } from './context.ts'
import type { ShowOptions } from './tlsrpt.ts'
import { describeKept, printKept } from './tlsrpt-view.ts'

/** 1 if something failed. */
export async function showReceived(context: Context, options: ShowOptions): Promise<ExitCode> {
  const all = await context.services('with-table').receivedReports.list()
  const found = all.filter((one) => isWanted(one, options)).map((one) => only(one, options.domain))
  if (options.json) context.terminal.json(found.map(describeKept))
  else printKept(context.terminal, found)
  const hasFailed = found.some(({ report }) =>
    report.policies.some(({ failedSessions }) => failedSessions > 0),
  )
  return hasFailed ? EXIT.failed : EXIT.ok
}

/** `since` counts by the days that a report covers, or by its arrival where it does not say. */
function isWanted({ receivedAtMs, report }: KeptReport, { domain, since }: ShowOptions): boolean {
  const at = new Date(report.endsAtMs ?? receivedAtMs).toISOString()
  if (since !== undefined && at < since) return false
  return domain === undefined || report.policies.some(({ policy }) => concerns(policy, domain))
}

function only(kept: KeptReport, domain: string | undefined): KeptReport {
  if (domain === undefined) return kept
  const policies = kept.report.policies.filter(({ policy }) => concerns(policy, domain))
  return { ...kept, report: { ...kept.report, policies } }
}

/** A policy of type `tlsa` names a host below the domain. */
function concerns({ policyDomain }: { readonly policyDomain: string }, domain: string): boolean {
  return policyDomain === domain || policyDomain.endsWith(`.${domain}`)
}
