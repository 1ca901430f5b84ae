// Times of functions that take turns.

export const RUNS = 41
export const WARM_UP_RUNS = 15

/** The median of each function's time in milliseconds, the functions taking turns so that noise hits all alike. */
export async function medians<Name extends string>(
  functions: Readonly<Record<Name, () => unknown>>,
  runs = RUNS,
): Promise<Record<Name, number>> {
  const names = Object.keys(functions) as Name[]
  const times = new Map(names.map((name) => [name, [] as number[]]))
  for (let run = 0; run < WARM_UP_RUNS + runs; run++) {
    for (const name of names) {
      const start = process.hrtime.bigint()
      await functions[name]()
      if (run >= WARM_UP_RUNS) times.get(name)!.push(Number(process.hrtime.bigint() - start) / 1e6)
    }
  }
  const median = (values: number[]): number => values.sort((x, y) => x - y)[values.length >> 1]!
  return Object.fromEntries(names.map((name) => [name, median(times.get(name)!)])) as Record<
    Name,
    number
  >
}
