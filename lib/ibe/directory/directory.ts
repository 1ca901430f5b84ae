// Which parameters a domain publishes, and who vouches for them: from the sources that are trusted, through the cache.
import { setTimeout } from 'node:timers/promises'
import type { Cache } from '../../cache/cache.ts'
import { createSingleFlight } from '../../cache/single-flight.ts'
import { clampTtl } from '../../cache/ttl.ts'
import { nowSeconds } from '../../clock.ts'
import { PermError } from '../../errors.ts'
import { TRUST_SOURCES, type TrustSource } from '../../mail/scheme.ts'
import type { LegacyParameters } from '../bb2/parameters.ts'
import {
  isPast,
  selectParameters,
  type AnyParameters,
  type Parameters,
  type Scheme,
} from '../parameters.ts'
import { createAppraisal, type AppraisalOptions } from './appraisal.ts'
import { createMemory } from './memory.ts'
import { formatOutcome, parseOutcome, type Outcome } from './outcome.ts'
import { checkRecords, readRecords, RECORD_LABEL } from './records.ts'
import { createSources, type PublishedTexts, type SourcesOptions } from './sources.ts'

export interface DirectoryOptions
  extends Omit<SourcesOptions, 'log'>, Omit<AppraisalOptions, 'memory' | 'verify' | 'log'> {
  readonly cache: Cache
  /** What is remembered for good. It must fail where it cannot say, and not forget. */
  readonly store: Cache
  /** Bounds on how long an answer is remembered, whatever its TTL says. */
  readonly ttl: { readonly floorSeconds: number; readonly ceilingSeconds: number }
  readonly verifyRecord: (request: {
    readonly domain: string
    readonly parameters: Parameters
    readonly publicKey: Uint8Array
    readonly signature: Uint8Array
  }) => Promise<boolean>
  readonly log: (level: 'warn' | 'error', message: string) => void
}

export interface Found<P> {
  readonly parameters: P
  readonly source: TrustSource
  /** Why these may not be what the domain publishes now. They are what is remembered of it. */
  readonly untrusted?: string
}

/**
 * Domains in A-labels. TempError dns/*, cache/*: nobody can say. PermError ibe/parameters: records are there, and not one
 * of the scheme can be used, or is authenticated as `trust` wants it.
 */
export interface Directory {
  /** The newest encryption parameters; undefined: the domain publishes none. */
  encryptionParameters(
    domain: string,
    trust: readonly TrustSource[],
  ): Promise<Found<Parameters<'bf'>> | undefined>
  /** Those of the IBEmail paper; undefined also where there is any record of a=bf, usable or not. */
  legacyParameters(
    domain: string,
    trust: readonly TrustSource[],
  ): Promise<Found<LegacyParameters> | undefined>
  /** Those of one generation, unless it is past its x. What is not in the cache is asked for, every two seconds at most. */
  signatureParameters(
    domain: string,
    n: number,
    trust: readonly TrustSource[],
  ): Promise<Parameters<'cc'> | undefined>
  /** The generations that sign, the newest first: none, if the domain does not say that it signs. */
  publishedSerials(domain: string, trust: readonly TrustSource[]): Promise<readonly number[]>
  /** The texts of the TXT records as they stand, by plain DNS; past the cache. */
  publishedRecords(domain: string): Promise<PublishedTexts>
  /** The texts of the records that are remembered. */
  remembered(domain: string): Promise<readonly string[]>
  /**
   * The operator's word that these texts (by default, what the domain publishes now) are the domain's: they are remembered
   * in place of all others. None: forgotten. Returns those that were good. PermError ibe/parameters if there are some and
   * none is.
   */
  accept(domain: string, texts?: readonly string[]): Promise<readonly string[]>
}

/** So that what the operator accepts counts soon. */
const DOUBT_TTL_SECONDS = 60
/** For a serial that is not known: often enough for a rotation, too seldom to be of use to who invents serials. */
const ASK_AGAIN_MS = 2_000
const HELD_MAX = 10_000

interface Held {
  readonly trust: string
  readonly value: string
  readonly outcome: Outcome
}

export function createDirectory(options: DirectoryOptions): Directory {
  const { cache, clock, ttl, verifyRecord, check } = options
  const memory = createMemory(options.store)
  const sources = createSources(options)
  const appraise = createAppraisal({
    ...options,
    memory,
    verify: (domain, { parameters, signer, signature }) =>
      verifyRecord({ domain, parameters, publicKey: signer.publicKey, signature }),
  })
  const flights = createSingleFlight<Outcome>()
  const held = new Map<string, Held>()
  const askedAtMs = new Map<string, number>()

  /** Past the cache. */
  const askAnew = (domain: string, allowed: readonly TrustSource[]): Promise<Outcome> => {
    const trust = trustName(allowed)
    return flights.fetchOnce(`${domain} ${trust}`, async () => {
      putBounded(askedAtMs, domain, clock.nowMs())
      const evidence = await sources.ask(domain, allowed)
      const outcome = await appraise(domain, evidence, allowed)
      const value = formatOutcome(trust, outcome)
      putBounded(held, domain, { trust, value, outcome })
      const ttlSeconds = clampTtl(evidence.ttlSeconds, ttl)
      const doubtful = Object.keys(outcome.untrusted).length + outcome.unusable.length > 0
      const keptSeconds = doubtful ? Math.min(ttlSeconds, DOUBT_TTL_SECONDS) : ttlSeconds
      await cache.set(keyOf(domain), value, keptSeconds)
      return outcome
    })
  }

  const outcomeOf = async (domain: string, allowed: readonly TrustSource[]): Promise<Outcome> => {
    const trust = trustName(allowed)
    const value = await cache.get(keyOf(domain))
    if (value === undefined) return askAnew(domain, allowed)
    const known = held.get(domain)
    // The same text gives the same objects, of which others may hold what they prepared.
    if (known?.value === value && known.trust === trust) return known.outcome
    const outcome = parseOutcome(trust, value)
    if (!outcome) return askAnew(domain, allowed)
    putBounded(held, domain, { trust, value, outcome })
    return outcome
  }

  /** By a question that is put after now; a moment later if there was one just before. */
  const askOnceMore = async (domain: string, allowed: readonly TrustSource[]): Promise<Outcome> => {
    const asked = askedAtMs.get(domain) ?? -Infinity
    const waitMs = Math.min(asked + ASK_AGAIN_MS - clock.nowMs(), ASK_AGAIN_MS)
    if (waitMs > 0) await setTimeout(waitMs, undefined, { ref: false })
    // Whoever waited with us has asked by now.
    return (askedAtMs.get(domain) ?? -Infinity) > asked
      ? outcomeOf(domain, allowed)
      : askAnew(domain, allowed)
  }

  return {
    async encryptionParameters(name, trust) {
      const domain = asKey(name)
      const outcome = await outcomeOf(domain, trust)
      const best = selectParameters(parametersIn(outcome), 'bf', nowSeconds(clock))
      if (!best) refuseUnusable(domain, outcome, 'bf')
      return best && found(best, outcome)
    },
    async legacyParameters(name, trust) {
      const domain = asKey(name)
      const outcome = await outcomeOf(domain, trust)
      const there = [...parametersIn(outcome), ...outcome.unusable]
      if (there.some(({ scheme }) => scheme === 'bf' || scheme === 'unknown')) return undefined
      const best = selectParameters(parametersIn(outcome), 'bb2', nowSeconds(clock))
      if (!best) refuseUnusable(domain, outcome, 'bb2')
      return best && found(best, outcome)
    },
    async signatureParameters(name, n, trust) {
      const domain = asKey(name)
      let outcome = await outcomeOf(domain, trust)
      if (!serialsIn(outcome).includes(n)) outcome = await askOnceMore(domain, trust)
      const ofSerial = parametersIn(outcome).filter((one) => one.n === n)
      if (serialsIn(outcome).length === 0) refuseUnusable(domain, outcome, 'cc')
      return selectParameters(ofSerial, 'cc', nowSeconds(clock))
    },
    async publishedSerials(name, trust) {
      const domain = asKey(name)
      const outcome = await outcomeOf(domain, trust)
      if (serialsIn(outcome).length === 0) refuseUnusable(domain, outcome, 'cc')
      return serialsIn(outcome, nowSeconds(clock))
    },
    publishedRecords: (name) => sources.published(asKey(name)),
    async remembered(name) {
      return (await memory.recall(asKey(name))).map(({ text }) => text)
    },
    async accept(name, texts) {
      const domain = asKey(name)
      const read = readRecords(texts ?? (await sources.published(domain)).texts)
      const { usable, unusable } = await checkRecords(read, check)
      const [first] = unusable
      if (usable.length === 0 && first) throw unusableError(domain, first.reason)
      await memory.remember(domain, usable)
      await cache.delete(keyOf(domain))
      return usable.map(({ text }) => text)
    },
  }
}

function found<P>(
  parameters: P & { readonly scheme: Scheme },
  { source, untrusted }: Outcome,
): Found<P> {
  const reason = untrusted[parameters.scheme]
  return { parameters, source, ...(reason !== undefined && { untrusted: reason }) }
}

/** Of signatures, the newest first; those that were past their x before the time given are left out. */
function serialsIn(outcome: Outcome, atSeconds = 0): readonly number[] {
  const signing = parametersIn(outcome).filter(
    (one) => one.scheme === 'cc' && !isPast(one, atSeconds),
  )
  return [...new Set(signing.map(({ n }) => n))].toSorted((one, other) => other - one)
}

function parametersIn({ records }: Outcome): readonly AnyParameters[] {
  return records.map(({ parameters }) => parameters)
}

/** For a scheme that has nothing to offer: a record that is there and is no good is not the same as none. */
function refuseUnusable(domain: string, { unusable, untrusted }: Outcome, scheme: Scheme): void {
  const broken = unusable.find((one) => one.scheme === scheme || one.scheme === 'unknown')
  const reason = broken?.reason ?? untrusted[scheme]
  if (reason !== undefined) throw unusableError(domain, reason)
}

function unusableError(domain: string, reason: string): PermError {
  return new PermError(
    'ibe/parameters',
    `the records at ${RECORD_LABEL}.${domain} cannot be used: ${reason}`,
  )
}

/** One name for a domain, whatever its letters: else it would have two memories. */
function asKey(domain: string): string {
  return domain.toLowerCase().replace(/\.$/, '')
}

function keyOf(domain: string): string {
  return `ibe/parameters/${domain}`
}

function trustName(trust: readonly TrustSource[]): string {
  return TRUST_SOURCES.filter((source) => trust.includes(source)).join(' ')
}

function putBounded<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > HELD_MAX) map.delete(map.keys().next().value!)
}
