import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSingleFlight } from '../../lib/cache/single-flight.ts'

const never = (signal: AbortSignal): Promise<string> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

describe('a single flight', () => {
  it('fetches once for all who ask at the same time', async () => {
    const { fetchOnce } = createSingleFlight<string>()
    const { promise, resolve } = deferred()
    let fetches = 0
    const fetcher = (): Promise<string> => {
      fetches += 1
      return promise
    }
    const waiting = Array.from({ length: 50 }, () => fetchOnce('a.example', fetcher))
    resolve('policy')
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['policy']))
    assert.equal(fetches, 1)
  })

  it('fetches for each key, and again when the fetch is done', async () => {
    const { fetchOnce } = createSingleFlight<string>()
    let fetches = 0
    const fetcher = async (): Promise<string> => `${(fetches += 1)}`
    assert.deepEqual(await Promise.all([fetchOnce('a', fetcher), fetchOnce('b', fetcher)]), [
      '1',
      '2',
    ])
    assert.equal(await fetchOnce('a', fetcher), '3')
  })

  it('does not remember a failure, whether thrown or rejected', async () => {
    const { fetchOnce } = createSingleFlight<string>()
    const failure = new Error('no')
    const throwing = (): Promise<string> => {
      throw failure
    }
    for (const fetcher of [throwing, () => Promise.reject(failure)]) {
      const waiting = [fetchOnce('a', fetcher), fetchOnce('a', fetcher)]
      for (const { status } of await Promise.allSettled(waiting)) assert.equal(status, 'rejected')
      assert.equal(await fetchOnce('a', async () => 'yes'), 'yes')
    }
  })

  it('lets one give up without the others', async () => {
    const { fetchOnce } = createSingleFlight<string>()
    const { promise, resolve } = deferred()
    const controller = new AbortController()
    const reason = new Error('hung up')
    const first = fetchOnce('a', () => promise, controller.signal)
    const second = fetchOnce('a', () => promise)
    controller.abort(reason)
    await assert.rejects(first, (error) => error === reason)
    resolve('policy')
    assert.equal(await second, 'policy')
  })

  it('aborts the fetch when the last one has given up, and fetches anew for the next', async () => {
    const { fetchOnce } = createSingleFlight<string>()
    const controllers = [new AbortController(), new AbortController()]
    let signal: AbortSignal | undefined
    const waiting = controllers.map((controller) =>
      fetchOnce(
        'a',
        (given) => {
          signal = given
          return never(given)
        },
        controller.signal,
      ),
    )
    await Promise.resolve()
    controllers[0]?.abort()
    await Promise.allSettled(waiting.slice(0, 1))
    assert.equal(signal?.aborted, false)
    controllers[1]?.abort()
    await Promise.allSettled(waiting)
    assert.equal(signal?.aborted, true)
    assert.equal(await fetchOnce('a', async () => 'fresh'), 'fresh')
  })

  it('does not start for one who has given up already', async () => {
    const { fetchOnce } = createSingleFlight<string>()
    let fetches = 0
    const fetcher = async (): Promise<string> => `${(fetches += 1)}`
    await assert.rejects(fetchOnce('a', fetcher, AbortSignal.abort()))
    assert.equal(fetches, 0)
  })
})

function deferred(): { promise: Promise<string>; resolve: (value: string) => void } {
  let resolve: (value: string) => void = () => undefined
  const promise = new Promise<string>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
