// Which signing keys of our own domains the world can see. It is compared with keys that we have, so nobody has to vouch for
// it, and what is remembered of other domains does not count: after a leak our own new records need no acceptance by us.
import { createSingleFlight } from '../../cache/single-flight.ts'
import type { Clock } from '../../clock.ts'
import { PermError, TempError } from '../../errors.ts'
import type { Generation } from '../key-source.ts'
import { isPast, parseParameters, type Parameters } from '../parameters.ts'

/** For the TTL of the records, and at most so long. */
const LOOK_AGAIN_SECONDS = 60
/** While DNS fails what was seen last is good enough: records seldom go. */
const STALE_MS = 86_400_000
/** How long others may have an answer without a record that has just come. */
const HIDDEN_LIMIT_SECONDS = 86_400

export interface OwnGenerationsOptions {
  /** By plain DNS, past any cache. TempError dns/*. */
  readonly publishedRecords: (
    domain: string,
  ) => Promise<{ readonly texts: readonly string[]; readonly ttlSeconds: number }>
  readonly clock: Clock
}

/**
 * Those that have been in DNS for the TTL of their records, so that no cache on the way to who verifies is without them; at
 * the first look all that are there. TempError dns/* where nobody can say, and nothing was seen lately.
 */
export type OwnGenerations = (domain: string) => Promise<readonly Generation[]>

interface Sight {
  readonly generations: readonly Seen[]
  readonly atMs: number
  readonly goodForMs: number
  /** The longest that was seen of these records. */
  readonly ttlSeconds: number
}

interface Seen extends Generation {
  /** From then on everybody sees it. */
  readonly knownFromMs: number
}

export function createOwnGenerations({
  publishedRecords,
  clock,
}: OwnGenerationsOptions): OwnGenerations {
  const seen = new Map<string, Sight>()
  const flights = createSingleFlight<Sight>()
  const age = ({ atMs }: Sight): number => Math.abs(clock.nowMs() - atMs)

  const look = async (domain: string): Promise<Sight> => {
    const atMs = clock.nowMs()
    try {
      const { texts, ttlSeconds: ttl } = await publishedRecords(domain)
      const before = seen.get(domain)
      const ttlSeconds = Math.max(ttl, before?.ttlSeconds ?? 0)
      const hiddenMs = Math.min(ttlSeconds, HIDDEN_LIMIT_SECONDS) * 1000
      const generations = texts
        .flatMap((text) => generationIn(text, atMs))
        .map((found) => {
          const known = before?.generations.find(({ n }) => n === found.n)?.knownFromMs
          return { ...found, knownFromMs: known ?? (before ? atMs + hiddenMs : atMs) }
        })
      const goodForMs = Math.min(ttl, LOOK_AGAIN_SECONDS) * 1000
      const sight = { generations, atMs, goodForMs, ttlSeconds }
      seen.set(domain, sight)
      return sight
    } catch (error) {
      const last = seen.get(domain)
      if (!(error instanceof TempError) || !last || age(last) >= STALE_MS) throw error
      return last
    }
  }

  return async (domain) => {
    const last = seen.get(domain)
    const isFresh = last && age(last) < last.goodForMs
    const { generations } = isFresh ? last : await flights.fetchOnce(domain, () => look(domain))
    return generations
      .filter(({ knownFromMs }) => knownFromMs <= clock.nowMs())
      .map(({ n, period }) => ({ n, period }))
  }
}

function generationIn(text: string, nowMs: number): Generation[] {
  try {
    const parameters = parseParameters(text)
    return isSigning(parameters) && !isPast(parameters, nowMs / 1000)
      ? [{ n: parameters.n, period: parameters.period }]
      : []
  } catch (error) {
    if (error instanceof PermError) return [] // broken: nobody can see it
    throw error
  }
}

function isSigning(parameters: ReturnType<typeof parseParameters>): parameters is Parameters<'cc'> {
  return parameters?.scheme === 'cc'
}
