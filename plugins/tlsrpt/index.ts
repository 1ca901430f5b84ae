// hisho/tlsrpt: what happens to TLS on the way to other domains is counted, and they are told; what they tell us is read.
import type { Connection, HttpHost, Next, Plugin } from '../../lib/haraka/api.ts'
import { CONT } from '../../lib/haraka/api.ts'
import { hook } from '../../lib/haraka/hook.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { inConfig, readIni } from '../../lib/haraka/process.ts'
import { registerForDelivery } from '../../lib/haraka/registration.ts'
import { endCounting, startCounting } from '../../lib/haraka/tlsrpt-counting.ts'
import { startReports } from '../../lib/haraka/tlsrpt-mail.ts'
import { receiveReport, takeReport } from '../../lib/haraka/tlsrpt-receive.ts'
import { createReceiving, registerReceiving } from '../../lib/haraka/tlsrpt-receiving.ts'
import { parseReceivingSettings } from '../../lib/services/tlsrpt-receive-settings.ts'
import { parseTlsrptSettings } from '../../lib/services/tlsrpt-settings.ts'

export {
  note_wishes,
  offer_requiretls,
  start_delivery,
  take_requiretls,
} from '../../lib/haraka/delivery-hooks.ts'

const settings = liveSettings('hisho.tlsrpt.ini', readIni, (ini) => ({
  ...parseTlsrptSettings(ini, inConfig),
  ...parseReceivingSettings(ini),
}))
const receiving = createReceiving(() => settings.current())

export function register(this: Plugin): void {
  settings.load(this)
  startCounting(this, () => settings.current())
  registerForDelivery(this)
  registerReceiving(this, receiving)
  this.register_hook('init_master', 'start_reports')
  this.register_hook('init_child', 'start_reports')
}

/** Haraka calls it when it ends in good order. */
export function shutdown(this: Plugin): void {
  endCounting(this)
}

export function start_reports(this: Plugin, next: Next, server: { cluster?: unknown }): void {
  startReports(this, settings.current(), server)
  next(CONT)
}

export const receive_report = hook<Connection>(async (plugin, connection) =>
  receiveReport({ plugin, ...receiving.of(plugin) }, connection),
)

export const take_report = hook<Connection>(async (plugin, connection) =>
  takeReport(plugin, connection),
)

export function serve_reports(this: Plugin, next: Next, server: HttpHost): void {
  server.http.app.use(receiving.door(this))
  next(CONT)
}
