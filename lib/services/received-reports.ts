// Reports of others on TLS to our domains (RFC 8460), wired: where they are kept, who receives them, and the alerts.
import { join } from 'node:path'
import type { SharedCache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import { PermError } from '../errors.ts'
import type { Meter } from '../metrics/meter.ts'
import type { TableFile } from '../protection/table-file.ts'
import { createAlerts, type Alert, type Alerts } from '../tlsrpt/alerts.ts'
import { createKeptReports, type KeptReport } from '../tlsrpt/received/kept.ts'
import { createReceiver, type Receiver } from '../tlsrpt/received/receive.ts'
import { createStore } from './parameter-sources.ts'
import type { Log } from './services.ts'
import type { SharedSettings } from './settings.ts'
import type { ReceiveSettings } from './tlsrpt-receive-settings.ts'

export interface ReceivedReports {
  /** The newest first. TempError cache/*. */
  list(): Promise<readonly KeptReport[]>
  createReceiver(settings: ReceiveSettings, alerts: Alerts): Receiver
  createAlerts(send?: (alert: Alert) => Promise<void>): Alerts
}

export interface ReceivedReportsOptions {
  readonly settings: SharedSettings
  readonly store: SharedCache
  readonly table: TableFile
  readonly clock: Clock
  readonly log: Log
  readonly meter: Meter
}

export function createReceivedReports(options: ReceivedReportsOptions): ReceivedReports {
  const { settings, table, clock, log } = options
  // In files a folder of their own: whoever looks through the others reads each.
  const storeDirectory = join(settings.storeDirectory, 'tlsrpt-received')
  const store = settings.redis ? options.store : createStore({ ...settings, storeDirectory }, clock)
  return {
    list: () => createKeptReports({ store, clock, ...NO_LIMITS }).list(),
    createReceiver: (receive, alerts) =>
      metered(
        createReceiver({
          kept: createKeptReports({ store, clock, ...receive }),
          alerts,
          limits: receive.limits,
          isOurs: (domain) => isOursOrBelow(table, domain),
          log,
          proof: receive.proof,
        }),
        options.meter,
      ),
    createAlerts: (send) => createAlerts({ store, clock, log, ...(send && { send }) }),
  }
}

function metered(receiver: Receiver, meter: Meter): Receiver {
  return {
    async receive(bytes, origin) {
      const count = (result: string): void =>
        meter.count('hisho_tls_reports_received_total', { via: origin.via, result })
      try {
        const received = await receiver.receive(bytes, origin)
        count(received.status)
        return received
      } catch (error) {
        count(error instanceof PermError ? 'refused' : 'deferred')
        throw error
      }
    },
  }
}

const NO_LIMITS = { keepDays: 1, maxReports: 0, maxPerSender: 0 }

/** A policy of type `tlsa` names the MX host, which mostly stands below a domain of ours. */
function isOursOrBelow(table: TableFile, domain: string): boolean {
  const labels = domain.split('.')
  return labels.some((_, at) => table.current().isLocal(labels.slice(at).join('.')))
}
