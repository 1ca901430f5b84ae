// What is read of the services when somebody asks for metrics, and the counters of delivery.
import type { Clock } from '../clock.ts'
import type { WorkerPool } from '../crypto/pool.ts'
import type { Ibe } from '../ibe/ibe.ts'
import type { IbeJobs } from '../ibe/jobs.ts'
import type { Meter } from '../metrics/meter.ts'
import type { KeptPolicy } from '../mta-sts/keeper.ts'
import type { SharedCache } from '../cache/cache.ts'
import type { HeldStore } from '../protection/held/store.ts'
import type { Attempt } from '../delivery/attempt.ts'
import type { Delivery } from './delivery.ts'

type Pool = Pick<WorkerPool<IbeJobs>, 'queued' | 'threadIds'>

export interface MeteredParts {
  readonly ibe: Pick<Ibe, 'kekCaches'>
  readonly pools: Readonly<Record<string, Pool>>
  readonly delivery: Delivery
  readonly store: SharedCache
  readonly backend: 'redis' | 'files'
  readonly held: Pick<HeldStore, 'names'>
  readonly clock: Clock
}

/** The store is looked through no more often than that. */
const POLICIES_MS = 60_000

export function meterParts(meter: Meter, parts: MeteredParts): void {
  const { ibe, pools, delivery, store, backend, held } = parts
  for (const [side, cache] of Object.entries(ibe.kekCaches)) {
    meter.gauge('hisho_kek_cache_entries', { side }, () => cache.size)
    meter.gauge('hisho_kek_cache_hits', { side }, () => cache.hits)
    meter.gauge('hisho_kek_cache_misses', { side }, () => cache.misses)
  }
  for (const [pool, threads] of Object.entries(pools)) {
    meter.gauge('hisho_worker_queue', { pool }, () => threads.queued)
    meter.gauge('hisho_worker_threads', { pool }, () => threads.threadIds.length)
  }
  meter.gauge('hisho_store_up', { backend }, () =>
    store.get('metrics').then(
      () => 1,
      () => 0,
    ),
  )
  meter.gauge('hisho_held_mail', {}, async () => {
    const names = await held.names()
    return names.filter((name) => name.endsWith('.json')).length
  })
  meterPolicies(meter, parts)
  delivery.onSession(({ results }) => {
    for (const { policyType, resultType } of results)
      meter.count('hisho_tls_sessions_total', { policy: policyType, result: resultType })
  })
  delivery.onAttempt(({ planned, outcome }) =>
    meter.count('hisho_delivery_attempts_total', {
      requirement: planned.requirement.kind,
      decision: decisionOf(outcome),
    }),
  )
}

function decisionOf(outcome: Attempt['outcome']): string {
  return outcome.status === 'judged' ? outcome.judgement.verdict : outcome.status
}

function meterPolicies(meter: Meter, { delivery, clock }: MeteredParts): void {
  let read: { readonly atMs: number; readonly policies: Promise<readonly KeptPolicy[]> } | undefined
  const policies = async (): Promise<readonly KeptPolicy[]> => {
    const now = clock.nowMs()
    if (read === undefined || now - read.atMs > POLICIES_MS) {
      const policies = delivery.policies()?.list() ?? Promise.resolve([])
      policies.catch(() => {}) // its readers are told
      read = { atMs: now, policies }
    }
    return read.policies
  }
  for (const mode of ['enforce', 'testing', 'none'])
    meter.gauge(
      'hisho_mta_sts_policies',
      { mode },
      async () => (await policies()).filter((policy) => policy.mode === mode).length,
    )
  const ages = async (): Promise<readonly number[]> =>
    (await policies())
      .map(({ fetchedAtMs }) => Math.max(0, (clock.nowMs() - fetchedAtMs) / 1000))
      .toSorted((one, other) => one - other)
  meter.gauge(
    'hisho_mta_sts_policy_age_seconds',
    { statistic: 'oldest' },
    async () => (await ages()).at(-1) ?? 0,
  )
  meter.gauge('hisho_mta_sts_policy_age_seconds', { statistic: 'median' }, async () => {
    const all = await ages()
    return all[all.length >> 1] ?? 0
  })
}
