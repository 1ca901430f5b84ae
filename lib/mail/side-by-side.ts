// What is asked for each of many recipients: for a few of them at a time.

const AT_ONCE = 8

/** The answers, in the order of the names. Rejects with the first failure, and asks for no more. */
export async function sideBySide<T>(
  names: readonly string[],
  ask: (name: string) => Promise<T>,
): Promise<T[]> {
  const answers = new Map<number, T>()
  const waiting = names.entries()
  let hasFailed = false
  const work = async (): Promise<void> => {
    for (const [at, name] of waiting) {
      if (hasFailed) return
      try {
        answers.set(at, await ask(name))
      } catch (error) {
        hasFailed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, names.length) }, work))
  return [...answers].toSorted(([one], [other]) => one - other).map(([, answer]) => answer)
}
