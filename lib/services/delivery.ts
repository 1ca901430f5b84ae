// The way of mail to other servers: what lib/delivery decides with, wired. A plugin switches on what it stands for.
import type { Clock } from '../clock.ts'
import type { HostFinder } from '../dane/outcome.ts'
import { resolveAddresses } from '../dns/addresses.ts'
import type { Resolver } from '../dns/resolver.ts'
import { formatAttempt, type Attempt } from '../delivery/attempt.ts'
import { judge, type Handshake, type Judgement } from '../delivery/judge.ts'
import type { Order, Plan, PlannedHost } from '../delivery/order.ts'
import { createPlanner } from '../delivery/plan.ts'
import { HishoError } from '../errors.ts'
import type { PolicyFinder } from '../mta-sts/outcome.ts'
import type { TableFile } from '../protection/table-file.ts'
import type { DaneSettings, DeliverySettings, MtaStsSettings } from './delivery-settings.ts'
import type { Log } from './services.ts'

export interface Delivery {
  readonly settings: DeliverySettings
  /** Whether any plugin has switched a part on: without one nothing is planned here. */
  isOn(): boolean
  /** `isEnabled` is asked for each delivery. */
  useMtaSts(settings: MtaStsSettings, isEnabled: () => boolean): void
  useDane(settings: DaneSettings, isEnabled: () => boolean): void
  /** What is to be delivered to a domain, with what the table says of it. */
  orderFor(domain: string, facts: OrderFacts): Order
  plan(order: Order, signal?: AbortSignal): Promise<Plan>
  judge(planned: PlannedHost, handshake: Handshake): Judgement
  report(attempt: Attempt): void
  /** In the one process, or each worker, that delivers: what is done in the background. */
  start(): void
  close(): Promise<void>
}

export type OrderFacts = Pick<
  Order,
  'route' | 'contentIsEncrypted' | 'requireTls' | 'tlsRequiredNo'
>

export interface DeliveryOptions {
  readonly settings: DeliverySettings
  readonly table: TableFile
  readonly resolver: Resolver
  readonly clock: Clock
  readonly log: Log
}

export function createDelivery(options: DeliveryOptions): Delivery {
  const { settings, table, resolver, clock, log } = options
  let on = false
  const policies: PolicyFinder = {
    find: async () => ({ status: 'none', failure: undefined }),
  }
  const hosts: HostFinder = {
    async find(host, _port, signal) {
      try {
        const addresses = await resolveAddresses(resolver, host, signal)
        if (addresses.length === 0) return { status: 'no-address' }
        return { status: 'reachable', addresses, dane: { status: 'none', reason: 'DANE is off' } }
      } catch (error) {
        if (!(error instanceof HishoError)) throw error
        return { status: 'unknown', reason: error.message }
      }
    },
  }
  const planner = createPlanner({ resolver, hosts, policies, port: settings.port })
  return {
    settings,
    isOn: () => on,
    useMtaSts() {
      on = true
    },
    useDane() {
      on = true
    },
    orderFor(domain, facts) {
      const { transport, floor } = table.current().ruleFor(domain)
      return { domain, transport, floor, ...facts }
    },
    plan: (order, signal) => planner.plan(order, signal),
    judge: (planned, handshake) => judge(planned, handshake, clock.nowMs()),
    report: (attempt) => {
      const calm =
        attempt.outcome.status === 'judged' && attempt.outcome.judgement.verdict === 'deliver'
      log(calm ? 'info' : 'warn', formatAttempt(attempt))
    },
    start() {},
    async close() {},
  }
}
