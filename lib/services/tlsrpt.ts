// What happened to TLS: counted in each process that delivers, kept for all of them. RFC 8460. A plugin switches it on.
import { join } from 'node:path'
import { createRedisScripts } from '../cache/redis-scripts.ts'
import type { Clock } from '../clock.ts'
import { createCollector, type Collector } from '../tlsrpt/collector.ts'
import type { DayStore } from '../tlsrpt/day-store.ts'
import { createFileStore } from '../tlsrpt/file-store.ts'
import { createRedisStore } from '../tlsrpt/redis-store.ts'
import type { Delivery } from './delivery.ts'
import type { Log } from './services.ts'
import type { SharedSettings } from './settings.ts'
import type { TlsrptSettings } from './tlsrpt-settings.ts'

export interface Tlsrpt {
  /** `isEnabled` is asked for each session. */
  use(settings: TlsrptSettings, isEnabled: () => boolean): void
  /** Where counts are kept. */
  days(settings: TlsrptSettings): DayStore
  /** What was counted until now is kept, before the process ends. */
  flush(): Promise<void>
  close(): Promise<void>
}

export interface TlsrptOptions {
  readonly settings: Pick<SharedSettings, 'redis' | 'storeDirectory'>
  readonly delivery: Pick<Delivery, 'onSession'>
  readonly clock: Clock
  readonly log: Log
}

export function createTlsrpt({ settings, delivery, clock, log }: TlsrptOptions): Tlsrpt {
  let store: DayStore | undefined
  let collector: Collector | undefined
  const days = ({ keepDays }: TlsrptSettings): DayStore =>
    (store ??= settings.redis
      ? createRedisStore({ redis: createRedisScripts(settings.redis), clock, keepDays, log })
      : createFileStore({ directory: join(settings.storeDirectory, 'tlsrpt'), log }))
  return {
    use(part, isEnabled) {
      if (collector) return
      const made = createCollector({ store: days(part), log, flushMs: part.flushMs })
      collector = made
      delivery.onSession((session) => {
        if (isEnabled()) made.count(session)
      })
    },
    days,
    flush: async () => collector?.flush(),
    async close() {
      await collector?.close()
      await store?.close()
    },
  }
}
