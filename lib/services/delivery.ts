// The way of mail to other servers: what lib/delivery decides with, wired. A plugin switches on what it stands for.
import type { Clock } from '../clock.ts'
import type { SharedCache } from '../cache/cache.ts'
import { createHostFinder } from '../dane/find.ts'
import { createCachingResolver } from '../dns/caching.ts'
import type { DnssecSupport } from '../dns/probe.ts'
import type { Resolver } from '../dns/resolver.ts'
import { formatAttempt, type Attempt } from '../delivery/attempt.ts'
import { judge, type Handshake, type Judgement } from '../delivery/judge.ts'
import type { Order, Plan, PlannedHost } from '../delivery/order.ts'
import { createPlanner } from '../delivery/plan.ts'
import { sessionOf, sessionsOfPlan } from '../delivery/sessions.ts'
import type { KeepingPolicyFinder } from '../mta-sts/finder.ts'
import type { StsOutcome } from '../mta-sts/outcome.ts'
import type { TableFile } from '../protection/table-file.ts'
import type { Session } from '../tlsrpt/session.ts'
import type { DaneSettings, DeliverySettings, MtaStsSettings } from './delivery-settings.ts'
import {
  createDanePart,
  createMtaStsPart,
  type DanePart,
  type MtaStsPart,
} from './delivery-parts.ts'
import type { Log } from './services.ts'
import type { SharedSettings } from './settings.ts'

const NO_POLICY: StsOutcome = { status: 'none', failure: undefined }

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
  /** Told of each TLS session, reports of ours excepted. It must not throw. */
  onSession(listener: (session: Session) => void): void
  /** Told of each attempt, reports of ours excepted. It must not throw. */
  onAttempt(listener: (attempt: Attempt) => void): void
  /** undefined: MTA-STS is not used here. */
  policies(): KeepingPolicyFinder | undefined
  /** Whether DANE can be: undefined where it is not used here. TempError when no resolver answers. */
  dnssecSupport(): Promise<DnssecSupport | undefined>
  /** In the one process, or each worker, that delivers: what is done in the background. */
  start(): void
  close(): Promise<void>
}

export type OrderFacts = Pick<
  Order,
  'route' | 'contentIsEncrypted' | 'requireTls' | 'tlsRequiredNo' | 'isTlsReport'
>

export interface DeliveryOptions {
  readonly settings: DeliverySettings
  readonly dns: SharedSettings['dns']
  readonly table: TableFile
  readonly resolver: Resolver
  /** Where policies are kept: it must fail where it cannot say. Closed by its owner. */
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: Log
}

/** Of each record type. */
const MAX_ANSWERS = 20_000

export function createDelivery(options: DeliveryOptions): Delivery {
  const { settings, table, clock, log } = options
  const resolver = createCachingResolver({
    resolver: options.resolver,
    clock,
    maxEntries: MAX_ANSWERS,
  })
  let mtaSts: MtaStsPart | undefined
  let dane: DanePart | undefined
  const listeners: ((session: Session) => void)[] = []
  const attemptListeners: ((attempt: Attempt) => void)[] = []
  const tellAll = (sessions: readonly Session[]): void => {
    for (const session of sessions) for (const listener of listeners) listener(session)
  }
  const planner = createPlanner({
    resolver,
    hosts: createHostFinder({
      resolver,
      isOn: async (signal) => (await dane?.isOn(signal)) ?? false,
    }),
    policies: { find: async (domain, signal) => (await mtaSts?.find(domain, signal)) ?? NO_POLICY },
    port: settings.port,
  })
  return {
    settings,
    isOn: () => mtaSts !== undefined || dane !== undefined,
    useMtaSts(part, isEnabled) {
      mtaSts ??= createMtaStsPart({ ...options, resolver }, part, isEnabled)
    },
    useDane(part, isEnabled) {
      dane ??= createDanePart(options, part, isEnabled)
    },
    onSession: (listener) => void listeners.push(listener),
    onAttempt: (listener) => void attemptListeners.push(listener),
    policies: () => mtaSts?.kept,
    dnssecSupport: async () => dane?.support(),
    orderFor(domain, facts) {
      const { transport, floor } = table.current().ruleFor(domain)
      // RFC 8460 section 3: it says what is wrong with TLS, and must not wait until that is mended.
      if (facts.isTlsReport === true)
        return {
          domain,
          transport: transport === 'off' ? 'off' : 'opportunistic',
          floor: 'none',
          ...facts,
        }
      return { domain, transport, floor, ...facts }
    },
    async plan(order, signal) {
      const plan = await planner.plan(order, signal)
      if (order.isTlsReport !== true) tellAll(sessionsOfPlan(order, plan, clock.nowMs()))
      return plan
    },
    judge: (planned, handshake) => judge(planned, handshake, clock.nowMs()),
    report: (attempt) => {
      const calm =
        attempt.outcome.status === 'judged' && attempt.outcome.judgement.verdict === 'deliver'
      log(calm ? 'info' : 'warn', formatAttempt(attempt))
      if (attempt.isTlsReport) return
      for (const listener of attemptListeners) listener(attempt)
      const session = sessionOf(attempt)
      if (session) tellAll([session])
    },
    start() {
      mtaSts?.start()
      dane?.start()
    },
    async close() {
      await mtaSts?.close()
    },
  }
}
