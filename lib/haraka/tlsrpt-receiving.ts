// Receiving reports and alerting, as the plugin switches them on: one receiver and one set of alerts a process.
import { systemClock } from '../clock.ts'
import { troubleOfAttempt, troubleOfSession } from '../services/delivery-alerts.ts'
import type { ReceiveSettings, ReceivingSettings } from '../services/tlsrpt-receive-settings.ts'
import type { Alerts } from '../tlsrpt/alerts.ts'
import type { Receiver } from '../tlsrpt/received/receive.ts'
import { sendAlert } from './alert-mail.ts'
import type { HttpHandler, Plugin } from './api.ts'
import { logTo } from './hook.ts'
import { servicesOf } from './process.ts'
import { PRIORITY } from './registration.ts'
import { createReportDoor } from './tlsrpt-http.ts'

export interface Receiving {
  of(plugin: Plugin): { readonly settings: ReceiveSettings; readonly receiver: Receiver }
  /** For Haraka's HTTP listener. */
  door(plugin: Plugin): HttpHandler
  alerts(plugin: Plugin): Alerts
}

/** For `register`. The hooks are the plugin's methods. */
export function registerReceiving(plugin: Plugin, receiving: Receiving): void {
  plugin.register_hook('data_post', 'receive_report', PRIORITY.receiveReport)
  plugin.register_hook('queue', 'take_report', PRIORITY.takeReport)
  plugin.register_hook('queue_outbound', 'take_report', PRIORITY.takeReport)
  plugin.register_hook('init_http', 'serve_reports', PRIORITY.http)
  const { delivery } = servicesOf(plugin)
  delivery.onAttempt((attempt) => {
    const trouble = troubleOfAttempt(attempt)
    if (trouble) receiving.alerts(plugin).raise(trouble)
  })
  delivery.onSession((session) => {
    const trouble = troubleOfSession(session)
    if (trouble) receiving.alerts(plugin).raise(trouble)
  })
}

export function createReceiving(settings: () => ReceivingSettings): Receiving {
  let alerts: Alerts | undefined
  let made: { readonly from: ReceiveSettings; readonly receiver: Receiver } | undefined

  const alertsOf = (plugin: Plugin): Alerts =>
    (alerts ??= servicesOf(plugin).receivedReports.createAlerts((alert) =>
      sendAlert(plugin, settings().alerts, alert),
    ))
  const receiverOf = (plugin: Plugin): Receiver => {
    const { receive } = settings()
    if (made?.from !== receive) {
      const { receivedReports } = servicesOf(plugin)
      made = { from: receive, receiver: receivedReports.createReceiver(receive, alertsOf(plugin)) }
    }
    return made.receiver
  }
  return {
    of: (plugin) => ({ settings: settings().receive, receiver: receiverOf(plugin) }),
    door: (plugin) =>
      createReportDoor({
        settings: () => settings().receive,
        receiver: () => receiverOf(plugin),
        clock: systemClock,
        log: logTo(plugin),
      }),
    alerts: alertsOf,
  }
}
