// The metrics at Haraka's HTTP listener, for those who may ask.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { isIPv6 } from 'node:net'
import { createExposition, type Exposition } from '../metrics/prometheus.ts'
import type { MetricsSettings } from '../services/metrics-settings.ts'
import type { Log } from '../services/services.ts'
import type { HttpHandler, Plugin } from './api.ts'
import { describe, logTo } from './hook.ts'
import { servicesOf } from './process.ts'

export { answerWorkers } from '../metrics/prometheus.ts'

export interface MetricsDoorOptions {
  readonly settings: () => MetricsSettings
  readonly exposition: Exposition
  readonly log: Log
}

/** Once a process that listens: from now on it is counted. */
export function metricsDoor(plugin: Plugin, settings: () => MetricsSettings): HttpHandler {
  const exposition = createExposition(servicesOf(plugin).meter)
  return createMetricsDoor({ settings, exposition, log: logTo(plugin) })
}

/** Answers for its path alone, and never throws. */
export function createMetricsDoor({ settings, exposition, log }: MetricsDoorOptions): HttpHandler {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!mayAsk(request, settings())) return send(response, 403, 'not for you\n')
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return send(response, 405, 'only GET\n', { Allow: 'GET, HEAD' })
    try {
      const text = await exposition.text()
      send(response, 200, text, { 'Content-Type': exposition.contentType })
    } catch (error) {
      log('warn', `metrics: ${describe(error)}`)
      send(response, 503, 'try again later\n')
    }
  }
  return (request, response, passOn) => {
    const { enabled, path } = settings()
    if (!enabled || (request.url ?? '').split('?', 1)[0] !== path) return passOn()
    answer(request, response).catch(() => response.destroy())
  }
}

function mayAsk({ headers, socket }: IncomingMessage, settings: MetricsSettings): boolean {
  const isProxied = headers.forwarded !== undefined || headers['x-forwarded-for'] !== undefined
  if (isProxied && settings.proxied === 'refused') return false
  // A socket for both families shows IPv4 addresses as IPv6 ones.
  const address =
    (socket.remoteAddress ?? '').replace(/^::ffff:(?=[\d.]+$)/, '').split('%', 1)[0] ?? ''
  return settings.allowed.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(text)
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': body.length,
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}
