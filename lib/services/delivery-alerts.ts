// What is worth an alert of what happens on the way to other domains: a host that was not used, because of its TLS.
import type { Attempt } from '../delivery/attempt.ts'
import type { Trouble } from '../tlsrpt/alerts.ts'
import type { Session } from '../tlsrpt/session.ts'

/** undefined: nothing to tell. Where TLS was not needed and mail went without it, the log is enough. */
export function troubleOfAttempt({ domain, planned, outcome }: Attempt): Trouble | undefined {
  if (outcome.status !== 'judged' || outcome.judgement.verdict !== 'next-host') return undefined
  const { results, reason } = outcome.judgement
  const types = results.flatMap(({ resultType }) => (resultType === 'success' ? [] : [resultType]))
  return trouble(domain, types, `${planned.host}: ${reason}`)
}

/** Of those that nobody attempted: the host is left out already when the delivery is planned. */
export function troubleOfSession(session: Session): Trouble | undefined {
  if (session.receivingIp !== undefined) return undefined
  // Mail goes on without a policy that cannot be had.
  const failures = session.results.filter(
    ({ resultType }) => resultType !== 'success' && !resultType.startsWith('sts-'),
  )
  if (failures.length === 0) return undefined
  const types = failures.map(({ resultType }) => resultType)
  const reason = failures.find((failure) => failure.reason)?.reason ?? 'it cannot be used'
  return trouble(session.domain, types, `${session.host ?? 'its hosts'}: ${reason}`)
}

function trouble(domain: string, types: readonly string[], reason: string): Trouble {
  const named = types.length > 0 ? new Set(types) : ['unspecified']
  return {
    direction: 'ours',
    domain,
    failures: new Map([...named].map((type) => [type, 1])),
    reason,
  }
}
