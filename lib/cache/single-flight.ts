// One fetch at a time for each key: who comes while it is under way waits for the same result.

export interface SingleFlight<T> {
  /**
   * What the fetcher returns or throws. Nothing is remembered once it is done. An abort ends the wait of the one who
   * aborts; the fetch itself is aborted when nobody waits for it any more.
   */
  fetchOnce(
    key: string,
    fetcher: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>
}

interface Flight<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  waiting: number
}

export function createSingleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Flight<T>>()

  const take = (key: string, fetcher: (signal: AbortSignal) => Promise<T>): Flight<T> => {
    const controller = new AbortController()
    // In a later turn, so that a fetcher that throws at once is a rejection too.
    const result = Promise.resolve().then(() => fetcher(controller.signal))
    const flight: Flight<T> = { result, controller, waiting: 0 }
    const land = (): boolean => leave(key, flight)
    result.then(land, land)
    flights.set(key, flight)
    return flight
  }
  /** Whether the flight was still under way. */
  const leave = (key: string, flight: Flight<T>): boolean =>
    flights.get(key) === flight && flights.delete(key)

  return {
    async fetchOnce(key, fetcher, signal) {
      signal?.throwIfAborted()
      const flight = flights.get(key) ?? take(key, fetcher)
      flight.waiting += 1
      try {
        return await unlessAborted(flight.result, signal)
      } finally {
        flight.waiting -= 1
        if (flight.waiting === 0 && leave(key, flight)) flight.controller.abort(signal?.reason)
      }
    },
  }
}

function unlessAborted<T>(result: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return result
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    const done = (): void => signal.removeEventListener('abort', onAbort)
    result.finally(done).then(resolve, reject)
  })
}
