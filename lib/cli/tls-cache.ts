// `hisho tls cache`: the MTA-STS policies that are remembered.
import type { KeepingPolicyFinder } from '../mta-sts/finder.ts'
import type { KeptPolicy } from '../mta-sts/keeper.ts'
import type { Context } from './context.ts'
import { openDelivery } from './delivery-session.ts'
import { formatTable } from './terminal.ts'

export async function listPolicies(
  context: Context,
  { json }: { readonly json: boolean },
): Promise<void> {
  const { terminal } = context
  const kept = (await policiesOf(context).list()).toSorted((one, other) =>
    one.domain < other.domain ? -1 : 1,
  )
  if (json) return terminal.json(kept.map(asJson))
  if (kept.length === 0) return terminal.line('no policy is remembered')
  terminal.line(
    formatTable(
      ['DOMAIN', 'MODE', 'ID', 'FETCHED', 'HOLDS UNTIL', 'LAST FAILURE'],
      kept.map(({ domain, mode, id, fetchedAtMs, expiresAtMs, failure }) => [
        domain,
        mode,
        id,
        minuteOf(fetchedAtMs),
        minuteOf(expiresAtMs),
        failure ? `${failure.resultType}: ${failure.reason}` : '',
      ]),
    ),
  )
}

export async function purgePolicy(context: Context, domain: string): Promise<void> {
  await policiesOf(context).purge(domain)
  context.terminal.line(`${domain}: forgotten; it is fetched anew with the next mail`)
  context.terminal.note('A running Haraka knows it within a minute.')
}

function policiesOf(context: Context): KeepingPolicyFinder {
  const policies = openDelivery(context).delivery.policies()
  if (policies === undefined) throw new Error('MTA-STS was not switched on')
  return policies
}

function asJson({ fetchedAtMs, expiresAtMs, lastUsedMs, failure, ...rest }: KeptPolicy): object {
  return {
    ...rest,
    fetched: new Date(fetchedAtMs).toISOString(),
    expires: new Date(expiresAtMs).toISOString(),
    lastUsed: lastUsedMs === undefined ? null : new Date(lastUsedMs).toISOString(),
    failure: failure ?? null,
  }
}

function minuteOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16)}Z`
}
