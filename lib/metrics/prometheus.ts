// The text that Prometheus reads, of all worker processes together. The one importer of prom-client, which is loaded only
// where somebody wants metrics.
import cluster from 'node:cluster'
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { TempError } from '../errors.ts'
import { COUNTERS, GAUGES, type CounterName, type GaugeName } from './definitions.ts'
import type { Meter } from './meter.ts'

export interface Exposition {
  readonly contentType: string
  /** TempError crypto/busy when the other processes do not answer. */
  text(): Promise<string>
}

/** More label sets than any metric of ours has. */
const MAX_SERIES = 300
const ANSWER_MS = 6000
const ASK = 'hisho:metrics'

const load = (): typeof import('prom-client') =>
  createRequire(__filename)('prom-client') as typeof import('prom-client')

/** Once a process: counts from now on. */
export function createExposition(meter: Meter): Exposition {
  const { AggregatorRegistry, Counter, Gauge, Registry } = load()
  const registry = new Registry()
  const counters = new Map<CounterName, InstanceType<typeof Counter>>()
  for (const name of namesOf(COUNTERS)) {
    const { help, labels } = COUNTERS[name]
    counters.set(name, new Counter({ name, help, labelNames: labels, registers: [registry] }))
  }
  for (const name of namesOf(GAUGES)) {
    const { help, labels, of: aggregator } = GAUGES[name]
    const collect = async function (this: InstanceType<typeof Gauge>): Promise<void> {
      const readings = await meter.readings(name)
      this.reset()
      for (const { labels: of, value } of readings) this.set(of, value)
    }
    void new Gauge({ name, help, labelNames: labels, aggregator, collect, registers: [registry] })
  }
  const seen = new Map<CounterName, Set<string>>()
  meter.attach((name, labels) => {
    const series = seen.get(name) ?? new Set()
    seen.set(name, series)
    if (series.size < MAX_SERIES) series.add(JSON.stringify(labels))
    else if (!series.has(JSON.stringify(labels))) return
    counters.get(name)?.inc(labels)
  })
  const { contentType } = registry
  if (!cluster.isWorker) return { contentType, text: () => registry.metrics() }
  AggregatorRegistry.setRegistries([registry])
  void new AggregatorRegistry() // answers the primary process
  return { contentType, text: askPrimary }
}

/** In the primary process, once: answers the workers, each of which may be asked by Prometheus. */
export function answerWorkers(): void {
  const all = new (load().AggregatorRegistry)()
  cluster.on('message', (worker, message: unknown) => {
    const id = idOf(message)
    if (id === undefined) return
    const answer = (text: string | undefined): void => {
      if (worker.isConnected()) worker.send({ type: ASK, id, text })
    }
    all.clusterMetrics().then(answer, () => answer(undefined))
  })
}

function askPrimary(): Promise<string> {
  const id = randomUUID()
  return new Promise((resolve, reject) => {
    const end = (text: unknown): void => {
      clearTimeout(timer)
      process.off('message', hear)
      if (typeof text === 'string') resolve(text)
      else reject(new TempError('crypto/busy', 'not all processes have told their metrics'))
    }
    const hear = (message: unknown): void => {
      if (idOf(message) === id)
        end(typeof message === 'object' && message && 'text' in message ? message.text : undefined)
    }
    const timer = setTimeout(end, ANSWER_MS, undefined)
    process.on('message', hear)
    process.send?.({ type: ASK, id })
  })
}

function idOf(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null) return undefined
  if (!('type' in message) || message.type !== ASK || !('id' in message)) return undefined
  return typeof message.id === 'string' ? message.id : undefined
}

function namesOf<N extends CounterName | GaugeName>(
  definitions: Readonly<Record<N, unknown>>,
): N[] {
  return Object.keys(definitions) as N[]
}
