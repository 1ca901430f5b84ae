// Figures and how they are shown.
import { cpus, totalmem } from 'node:os'

export interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** Against the bare thing, measured in the same run. */
  readonly ratio?: number
  /** The ratio, or the value where there is no ratio, that is wanted: `at least` or `at most`. */
  readonly target?: { readonly least: number } | { readonly most: number }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Medians of both, taken in turns so that a noisy machine hurts both alike, after so many rounds of warm-up. */
export async function sideBySide(
  rounds: number,
  ours: () => Promise<number>,
  bare: () => Promise<number>,
  warmUps = 1,
): Promise<{ ours: number; bare: number; ratio: number }> {
  for (let round = 0; round < warmUps; round++) {
    await bare()
    await ours()
  }
  const pairs: [number, number][] = []
  for (let round = 0; round < rounds; round++) {
    const bareFigure = await bare()
    pairs.push([await ours(), bareFigure])
  }
  return {
    ours: median(pairs.map(([figure]) => figure)),
    bare: median(pairs.map(([, figure]) => figure)),
    ratio: median(pairs.map(([figure, bareFigure]) => figure / bareFigure)),
  }
}

export function isReached({ value, ratio, target }: Row): boolean | undefined {
  if (!target) return undefined
  const figure = ratio ?? value
  return 'least' in target ? figure >= target.least : figure <= target.most
}

const round = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3)

/** A Markdown table, with the machine above it. */
export function formatReport(rows: readonly Row[]): string {
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor'
  const machine = `Node ${process.version}, ${cpus().length} x ${processor}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`
  const lines = rows.map((row) => {
    const target = row.target
      ? 'least' in row.target
        ? `>= ${row.target.least}`
        : `<= ${row.target.most}`
      : ''
    const reached = isReached(row)
    return `| ${row.name} | ${round(row.value)} ${row.unit} | ${row.ratio === undefined ? '' : round(row.ratio)} | ${target} | ${reached === undefined ? '' : reached ? 'yes' : 'no'} |`
  })
  return [
    machine,
    '',
    '| what | figure | ratio | wanted | reached |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n')
}
