// What happened to TLS: counted in each process that delivers, kept for all of them, and reported by one. RFC 8460. A plugin
// switches it on.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { SharedCache } from '../cache/cache.ts'
import { createLease } from '../cache/lease.ts'
import { createRedisScripts } from '../cache/redis-scripts.ts'
import type { Clock } from '../clock.ts'
import { resolveAddresses } from '../dns/addresses.ts'
import type { Resolver } from '../dns/resolver.ts'
import { createPoster } from '../http/post-bytes.ts'
import { createCollector, type Collector, type LeaveBatch } from '../tlsrpt/collector.ts'
import type { DayStore } from '../tlsrpt/day-store.ts'
import { createDrafter, type DrafterOptions, type DraftReport } from '../tlsrpt/draft.ts'
import { createFileStore } from '../tlsrpt/file-store.ts'
import { createLeftBehind } from '../tlsrpt/left-behind.ts'
import { lookUpRecord } from '../tlsrpt/record.ts'
import { createRedisStore } from '../tlsrpt/redis-store.ts'
import { createReporter, NOW_KEY, type Reporter } from '../tlsrpt/reporter.ts'
import { createRound, type RunRound } from '../tlsrpt/round.ts'
import { createSender, type QueueMail } from '../tlsrpt/send.ts'
import type { Delivery } from './delivery.ts'
import type { Log } from './services.ts'
import type { SharedSettings } from './settings.ts'
import type { ReportSettings, TlsrptSettings } from './tlsrpt-settings.ts'

export interface Tlsrpt {
  /** Counts from now on. `isEnabled` is asked for each session. */
  use(settings: TlsrptSettings, isEnabled: () => boolean): void
  /** Reports in the background, in a process that delivers. */
  start(settings: TlsrptSettings, queueMail: QueueMail): Promise<void>
  /** Where counts are kept. */
  days(settings: TlsrptSettings): DayStore
  /** What would be sent now. */
  drafter(settings: ReportSettings): Promise<DraftReport>
  /** A process that reports does so within two minutes, without waiting for its time. */
  askForReports(): Promise<void>
  /** What was counted until now is kept, before the process ends. */
  flush(): Promise<void>
  /** As `flush`, before it returns: in the store, or where the next process finds it. */
  leave(): void
  close(): Promise<void>
}

export interface TlsrptOptions {
  readonly settings: Pick<SharedSettings, 'redis' | 'storeDirectory'>
  readonly delivery: Pick<Delivery, 'onSession'>
  readonly resolver: Resolver
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: Log
}

/** So long nobody goes on after the one who reports has died. */
const LEASE_SECONDS = 300
const NOW_SECONDS = 3600
const YEARS_SECONDS = 10 * 31_557_600

export function createTlsrpt(options: TlsrptOptions): Tlsrpt {
  const { settings, delivery, resolver, store, clock, log } = options
  let kept: { readonly days: DayStore; readonly leave: LeaveBatch } | undefined
  let collector: Collector | undefined
  let reporter: Reporter | undefined
  let isClosed = false
  const left = createLeftBehind(join(settings.storeDirectory, 'tlsrpt-left'))
  const openStore = ({ keepDays }: TlsrptSettings): NonNullable<typeof kept> => {
    if (settings.redis) {
      const redis = createRedisScripts(settings.redis)
      const leave: LeaveBatch = (day, batch) => {
        left.write(day, batch)
        return 'kept'
      }
      return { days: createRedisStore({ redis, clock, keepDays, log }), leave }
    }
    const files = createFileStore({ directory: join(settings.storeDirectory, 'tlsrpt'), log })
    return { days: files, leave: (day, batch) => files.addAtOnce(day, batch) }
  }
  const storeOf = (part: TlsrptSettings): NonNullable<typeof kept> => (kept ??= openStore(part))
  const days = (part: TlsrptSettings): DayStore => storeOf(part).days
  const adoptLeft = async (made: Collector): Promise<void> => {
    for (const one of await left.read())
      made.adopt(one.day, one.batch, () => {
        one.forget().catch((error: unknown) => log('warn', `TLSRPT: ${String(error)}`))
      })
  }

  /** Of those who share the store: two that do not must not give one id to two reports. */
  const siteId = async (): Promise<string> => {
    const key = 'tlsrpt/id'
    await store.setIfAbsent(key, randomUUID().slice(0, 8), YEARS_SECONDS)
    return (await store.get(key)) ?? '0'
  }
  const drafterOptions = async (report: ReportSettings): Promise<DrafterOptions> => ({
    lookUp: (name) => lookUpRecord(resolver, name),
    submitter: { ...report, id: await siteId() },
    rules: report,
  })
  const roundOf = async (
    part: TlsrptSettings,
    report: ReportSettings,
    queueMail: QueueMail,
  ): Promise<RunRound> => {
    const { https } = report
    const drafting = await drafterOptions(report)
    const send = createSender({
      queueMail,
      postBytes: createPoster({
        addressesOf: (host, signal) => resolveAddresses(resolver, host, signal),
        timeoutMs: https.timeoutMs,
        ...(https.ca !== undefined && { ca: https.ca }),
        certificate: https.verify ? 'verified' : 'any',
        reach: https.allowPrivate ? 'any' : 'public',
      }),
      submitter: drafting.submitter,
      nowMs: () => clock.nowMs(),
    })
    return createRound({ ...drafting, store: days(part), clock, log, send })
  }

  return {
    use(part, isEnabled) {
      if (collector) return
      const { days: store, leave } = storeOf(part)
      const made = createCollector({ store, leave, log, flushMs: part.flushMs })
      collector = made
      delivery.onSession((session) => {
        if (isEnabled()) made.count(session)
      })
    },
    async start(part, queueMail) {
      if (settings.redis && collector) await adoptLeft(collector)
      const { report, keepDays } = part
      const round = report && (await roundOf(part, report, queueMail))
      if (isClosed || reporter) return
      reporter = createReporter({
        days: days(part),
        round,
        lease: createLease({ store, key: 'tlsrpt/report', ttlSeconds: LEASE_SECONDS }),
        store,
        clock,
        log,
        maxDelayMs: report?.maxDelayMs ?? 0,
        keepDays,
      })
      reporter.start()
    },
    days,
    drafter: async (report) => createDrafter(await drafterOptions(report)),
    askForReports: () => store.set(NOW_KEY, '1', NOW_SECONDS),
    flush: async () => collector?.flush(),
    leave: () => collector?.leave(),
    async close() {
      isClosed = true
      await reporter?.close()
      await collector?.close()
      await kept?.days.close()
    },
  }
}
