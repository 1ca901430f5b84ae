// What some work takes of the processor, which others may have meanwhile: a clock would tell of them too.

/** Started; gives the milliseconds since then. */
export function processorTime(): () => number {
  const start = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(start)
    return (user + system) / 1000
  }
}
