// Work on many things, a few at a time.

/** False: it was left before the end, since `goesOn` said so. Rejects with the first failure, once none is under way. */
export async function inParallel<T>(
  items: AsyncIterable<T>,
  atOnce: number,
  goesOn: () => boolean,
  work: (item: T) => Promise<void>,
): Promise<boolean> {
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  const begin = (item: T): void => {
    const one = work(item)
      .catch((error: unknown) => void failures.push(error))
      .finally(() => running.delete(one))
    running.add(one)
  }
  for await (const item of items) {
    if (!goesOn() || failures.length > 0) break
    begin(item)
    if (running.size >= atOnce) await Promise.race(running)
  }
  await Promise.all(running)
  if (failures.length > 0) throw failures[0]
  return goesOn()
}
