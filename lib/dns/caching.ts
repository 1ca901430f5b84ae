// A resolver that remembers: answers for as long as their TTL says and no longer, those that say "nothing" too (RFC 2308).
import type { Clock } from '../clock.ts'
import { TempError } from '../errors.ts'
import type { Answer, RecordType } from './records.ts'
import type { Resolver } from './resolver.ts'

const MAX_TTL_SECONDS = 86_400 // what somebody published by mistake is gone after a day
const MAX_NEGATIVE_TTL_SECONDS = 10_800 // RFC 2308 section 5: one to three hours
const FAILURE_MS = 1000 // RFC 9520 section 3.2: a second at least; a queue asks again soon enough

export interface CachingResolverOptions {
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly clock: Clock
  /** For each record type; what was used last stays. */
  readonly maxEntries: number
}

/** The TTL of its answers counts down. A question that several put at once is asked once. */
export function createCachingResolver(options: CachingResolverOptions): Resolver {
  const kinds: { readonly [K in RecordType]: Memory<K> } = {
    A: createMemory('A', options),
    AAAA: createMemory('AAAA', options),
    CNAME: createMemory('CNAME', options),
    MX: createMemory('MX', options),
    OPENPGPKEY: createMemory('OPENPGPKEY', options),
    SMIMEA: createMemory('SMIMEA', options),
    TLSA: createMemory('TLSA', options),
    TXT: createMemory('TXT', options),
  }
  return { resolve: async (name, type, signal) => kinds[type].resolve(name, signal) }
}

interface Memory<T extends RecordType> {
  resolve(name: string, signal?: AbortSignal): Promise<Answer<T>>
}

type Entry<T extends RecordType> =
  | { readonly answer: Answer<T>; readonly untilMs: number }
  | { readonly failure: TempError; readonly untilMs: number }

interface Flight<T extends RecordType> {
  readonly answer: Promise<Answer<T>>
  readonly controller: AbortController
  waiting: number
}

function createMemory<T extends RecordType>(
  type: T,
  { resolver, clock, maxEntries }: CachingResolverOptions,
): Memory<T> {
  const entries = new Map<string, Entry<T>>()
  const flights = new Map<string, Flight<T>>()

  const recall = (key: string, nowMs: number): Entry<T> | undefined => {
    const entry = entries.get(key)
    if (entry === undefined) return undefined
    entries.delete(key)
    if (entry.untilMs <= nowMs) return undefined
    entries.set(key, entry) // at the end: the first one is the one that nobody has asked for
    return entry
  }

  const keep = (key: string, entry: Entry<T>): void => {
    entries.delete(key)
    entries.set(key, entry)
    const [oldest] = entries.keys()
    if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest)
  }

  const ask = async (key: string, signal: AbortSignal): Promise<Answer<T>> => {
    const askedMs = clock.nowMs()
    try {
      const answer = await resolver.resolve(key, type, signal)
      const seconds = keptSeconds(answer)
      if (seconds > 0) keep(key, { answer, untilMs: askedMs + seconds * 1000 })
      return answer
    } catch (error) {
      if (error instanceof TempError && !signal.aborted)
        keep(key, { failure: error, untilMs: clock.nowMs() + FAILURE_MS })
      throw error
    }
  }

  const depart = (key: string): Flight<T> => {
    const controller = new AbortController()
    const flight = { answer: ask(key, controller.signal), controller, waiting: 0 }
    flights.set(key, flight)
    const land = (): void => void (flights.get(key) === flight && flights.delete(key))
    flight.answer.then(land, land)
    return flight
  }

  return {
    async resolve(name, signal) {
      signal?.throwIfAborted()
      const key = name.toLowerCase().replace(/(?<=.)\.$/, '')
      const nowMs = clock.nowMs()
      const entry = recall(key, nowMs)
      if (entry && 'failure' in entry) throw entry.failure
      if (entry) return { ...entry.answer, ttlSeconds: Math.floor((entry.untilMs - nowMs) / 1000) }
      const flight = flights.get(key) ?? depart(key)
      return join(flight, signal, () => flights.delete(key))
    },
  }
}

/** Waits along, or leaves at the caller's signal, which the others do not notice; the last one takes the question back. */
function join<T extends RecordType>(
  flight: Flight<T>,
  signal: AbortSignal | undefined,
  forget: () => void,
): Promise<Answer<T>> {
  flight.waiting += 1
  if (signal === undefined) return flight.answer
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      reject(signal.reason)
      flight.waiting -= 1
      if (flight.waiting > 0) return
      forget()
      flight.controller.abort(signal.reason)
    }
    signal.addEventListener('abort', leave, { once: true })
    const settle = (settled: () => void): void => {
      signal.removeEventListener('abort', leave)
      settled()
    }
    flight.answer.then(
      (answer) => settle(() => resolve(answer)),
      (error: unknown) => settle(() => reject(error)),
    )
  })
}

function keptSeconds({ status, ttlSeconds }: Answer): number {
  return Math.min(ttlSeconds, status === 'found' ? MAX_TTL_SECONDS : MAX_NEGATIVE_TTL_SECONDS)
}
