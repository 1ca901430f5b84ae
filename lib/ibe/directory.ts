// Which parameters a domain publishes, from DNS through the cache: records and their absence, for their TTL.
import type { Cache } from '../cache/cache.ts'
import { clampTtl } from '../cache/ttl.ts'
import { createSingleFlight } from '../cache/single-flight.ts'
import { nowSeconds, type Clock } from '../clock.ts'
import type { Resolver } from '../dns/resolver.ts'
import { PermError } from '../errors.ts'
import {
  parseParameters,
  selectParameters,
  type AnyParameters,
  type Parameters,
} from './parameters.ts'

export interface DirectoryOptions {
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly cache: Cache
  readonly clock: Clock
  /** Bounds on how long an answer is remembered, whatever its TTL says. */
  readonly ttl: { readonly floorSeconds: number; readonly ceilingSeconds: number }
  /** Whether the point of a record is one that can be used. */
  readonly checkPublicKey: (publicKey: Uint8Array) => Promise<boolean>
  readonly log: (level: 'warn', message: string) => void
}

export interface Directory {
  /**
   * The newest usable encryption parameters; undefined: the domain publishes none. TempError dns/*: nobody can say.
   * PermError ibe/parameters: it publishes records, and not one of them can be used.
   */
  encryptionParameters(domain: string): Promise<Parameters<'bf'> | undefined>
  /** The texts of the TXT records as they stand, and whether they came authenticated; past the cache. */
  publishedRecords(
    domain: string,
  ): Promise<{ readonly texts: readonly string[]; readonly ttlSeconds: number }>
}

export const RECORD_LABEL = '_ibemailkey'

export function createDirectory(options: DirectoryOptions): Directory {
  const { resolver, cache, clock, ttl, log } = options
  const flights = createSingleFlight<readonly string[]>()
  const checked = new WeakMap<Uint8Array, boolean>()
  const parsed = new Map<string, Candidates>()

  const publishedRecords: Directory['publishedRecords'] = async (domain) => {
    const answer = await resolver.resolve(`${RECORD_LABEL}.${domain}`, 'TXT')
    if (answer.status !== 'found') return { texts: [], ttlSeconds: answer.ttlSeconds }
    // The strings of one record are joined without a space (docs/formats.md section 1).
    const texts = answer.records.map((strings) => Buffer.concat([...strings]).toString('utf8'))
    return { texts, ttlSeconds: answer.ttlSeconds }
  }

  const texts = async (domain: string): Promise<readonly string[]> => {
    const key = `ibe/parameters/${domain}`
    const held = parseTexts(await cache.get(key))
    if (held) return held
    return flights.fetchOnce(key, async () => {
      const found = await publishedRecords(domain)
      await cache.set(key, JSON.stringify(found.texts), clampTtl(found.ttlSeconds, ttl))
      return found.texts
    })
  }

  const usable = async (parameters: Parameters<'bf'>): Promise<boolean> => {
    const known = checked.get(parameters.publicKey)
    if (known !== undefined) return known
    const good = await options.checkPublicKey(parameters.publicKey)
    checked.set(parameters.publicKey, good)
    return good
  }

  /** The same texts give the same objects, so that a point is checked once and not for every message. */
  const candidatesOf = (domain: string, records: readonly string[]): Candidates => {
    const name = JSON.stringify(records)
    const held = parsed.get(domain)
    if (held?.name === name) return held
    const fresh = parseRecords(domain, name, records, log)
    parsed.delete(domain)
    parsed.set(domain, fresh)
    if (parsed.size > PARSED_MAX) parsed.delete(parsed.keys().next().value!)
    return fresh
  }

  return {
    publishedRecords,
    async encryptionParameters(domain) {
      const { usable: sets, broken } = candidatesOf(domain, await texts(domain))
      let left = sets
      for (;;) {
        const best = selectParameters(left, 'bf', nowSeconds(clock))
        if (best && (await usable(best))) return best
        if (!best) break
        log('warn', `${domain}: P of its record n=${best.n} is no point that can be used`)
        left = left.filter((one) => one !== best)
      }
      if (broken > 0 || left.length < sets.length) {
        throw new PermError(
          'ibe/parameters',
          `the records at ${RECORD_LABEL}.${domain} cannot be used`,
        )
      }
      return undefined
    },
  }
}

const PARSED_MAX = 10_000

interface Candidates {
  readonly name: string
  readonly usable: readonly AnyParameters[]
  readonly broken: number
}

function parseRecords(
  domain: string,
  name: string,
  records: readonly string[],
  log: DirectoryOptions['log'],
): Candidates {
  const usable: AnyParameters[] = []
  let broken = 0
  for (const text of records) {
    try {
      const parameters = parseParameters(text)
      if (parameters) usable.push(parameters)
    } catch (error) {
      if (!(error instanceof PermError)) throw error
      broken++
      log('warn', `${domain}: a record at ${RECORD_LABEL} is left out: ${error.message}`)
    }
  }
  return { name, usable, broken }
}

function parseTexts(value: string | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined
  try {
    const texts: unknown = JSON.parse(value)
    if (Array.isArray(texts) && texts.every((text) => typeof text === 'string')) return texts
  } catch {
    // Rubbish in a shared cache is as good as nothing.
  }
  return undefined
}
