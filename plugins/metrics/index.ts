// hisho/metrics: numbers for Prometheus, of all processes of this Haraka.
import { CONT, type HttpHost, type Next, type Plugin } from '../../lib/haraka/api.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { answerWorkers, metricsDoor } from '../../lib/haraka/metrics-http.ts'
import { readIni } from '../../lib/haraka/process.ts'
import { PRIORITY, registerWithoutGate } from '../../lib/haraka/registration.ts'
import { warnUnlessListening } from '../../lib/haraka/well-known.ts'
import { parseMetricsSettings } from '../../lib/services/metrics-settings.ts'

const settings = liveSettings('hisho.metrics.ini', readIni, parseMetricsSettings)

export function register(this: Plugin): void {
  settings.load(this)
  registerWithoutGate(this)
  warnUnlessListening(this)
  this.register_hook('init_master', 'answer_workers')
  this.register_hook('init_http', 'serve_metrics', PRIORITY.http)
}

/** Before there are any. */
export function answer_workers(this: Plugin, next: Next): void {
  answerWorkers()
  next(CONT)
}

/** In each process that listens: the workers, or the only one. */
export function serve_metrics(this: Plugin, next: Next, server: HttpHost): void {
  server.http.app.use(metricsDoor(this, () => settings.current()))
  next(CONT)
}
