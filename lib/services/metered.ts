// Caches and schemes as they were, counted.
import type { Cache, CacheEntry, SharedCache } from '../cache/cache.ts'
import { TempError } from '../errors.ts'
import type { Message } from '../mail/message.ts'
import type { Scheme } from '../mail/scheme.ts'
import type { Meter } from '../metrics/meter.ts'

type Name = 'cache' | 'store'

export function meteredCache(cache: Cache, meter: Meter): Cache {
  return { ...cache, get: counting('cache', meter, (key) => cache.get(key)) }
}

export function meteredStore(store: SharedCache, meter: Meter): SharedCache {
  return {
    ...store,
    get: counting('store', meter, (key) => store.get(key)),
    getEntry: counting<CacheEntry>('store', meter, (key) => store.getEntry(key)),
  }
}

function counting<T>(
  cache: Name,
  meter: Meter,
  get: (key: string) => Promise<T | undefined>,
): (key: string) => Promise<T | undefined> {
  return async (key) => {
    try {
      const value = await get(key)
      meter.count('hisho_cache_requests_total', {
        cache,
        result: value === undefined ? 'miss' : 'hit',
      })
      return value
    } catch (error) {
      meter.count('hisho_cache_requests_total', { cache, result: 'error' })
      throw error
    }
  }
}

export function meteredSchemes(schemes: readonly Scheme[], meter: Meter): readonly Scheme[] {
  return schemes.map((scheme) => ({
    ...scheme,
    async offer(request) {
      const offer = await scheme.offer(request)
      if (offer === undefined) return undefined
      return {
        ...offer,
        seal: (addresses, message, sealing) =>
          counted(offer.seal(addresses, message, sealing), (result) =>
            meter.count('hisho_seal_total', { scheme: scheme.name, result }),
          ),
      }
    },
    async open(message, addresses) {
      const count = (result: string): void =>
        meter.count('hisho_open_total', { scheme: scheme.name, result })
      try {
        const opening = await scheme.open(message, addresses)
        if (opening.status === 'opened')
          return { ...opening, message: counted(opening.message, count) }
        count('closed')
        return opening
      } catch (error) {
        count(resultOf(error))
        throw error
      }
    },
  }))
}

/** It is done when its body was read to the end; one that nobody reads to the end is not counted. */
function counted(message: Message, tell: (result: string) => void): Message {
  let told = false
  const count = (result: string): void => {
    if (!told) tell(result)
    told = true
  }
  const body = message.body[Symbol.asyncIterator]()
  const watched: AsyncIterableIterator<Uint8Array> = {
    [Symbol.asyncIterator]: () => watched,
    next: async () => {
      try {
        const next = await body.next()
        if (next.done) count('ok')
        return next
      } catch (error) {
        count(resultOf(error))
        throw error
      }
    },
    return: async () => {
      await body.return?.()
      return { done: true, value: undefined }
    },
  }
  return { ...message, body: watched }
}

function resultOf(error: unknown): string {
  return error instanceof TempError ? 'deferred' : 'failed'
}
