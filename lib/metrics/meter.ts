// What is counted while mail is handled, and the gauges that are read when somebody asks. Without a sink nothing is kept.
import type { CounterLabels, CounterName, GaugeLabels, GaugeName } from './definitions.ts'

export interface Reading {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Meter {
  count<N extends CounterName>(name: N, labels: CounterLabels<N>): void
  /** `read` is called when somebody asks; where it fails, or takes long, the value is left out. */
  gauge<N extends GaugeName>(
    name: N,
    labels: GaugeLabels<N>,
    read: () => number | Promise<number>,
  ): void
  readings(name: GaugeName): Promise<readonly Reading[]>
  attach(sink: Sink): void
}

export type Sink = (name: CounterName, labels: Readonly<Record<string, string>>) => void

const READ_MS = 2000

export function createMeter(): Meter {
  let sink: Sink | undefined
  const gauges: {
    readonly name: GaugeName
    readonly labels: Readonly<Record<string, string>>
    readonly read: () => number | Promise<number>
  }[] = []
  return {
    count: (name, labels) => sink?.(name, labels),
    gauge: (name, labels, read) => void gauges.push({ name, labels, read }),
    async readings(name) {
      const read = gauges
        .filter((gauge) => gauge.name === name)
        .map(async ({ labels, read: valueOf }) => ({
          labels,
          value: await inTime(valueOf).catch(() => undefined),
        }))
      return (await Promise.all(read)).flatMap(({ labels, value }) =>
        value === undefined ? [] : [{ labels, value }],
      )
    },
    attach(to) {
      sink = to
    },
  }
}

async function inTime(read: () => number | Promise<number>): Promise<number | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), READ_MS)
  })
  try {
    return await Promise.race([read(), late])
  } finally {
    clearTimeout(timer)
  }
}
