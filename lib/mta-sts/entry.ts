// What is kept of one domain: its policy, which lives by its own max_age from the moment of the fetch, and the fetches that
// failed since. RFC 8461 sections 3.2 and 3.3.
import { PermError, TempError } from '../errors.ts'
import type { StsFailure } from './outcome.ts'
import { parsePolicy, type Policy } from './policy.ts'

export interface FetchedText {
  readonly id: string
  readonly fetchedAtMs: number
  /** As it came; `policy` is what it says. */
  readonly text: string
  readonly policy: Policy
}

export interface FailedFetch {
  readonly id: string
  readonly atMs: number
  readonly failure: StsFailure
}

export interface Entry {
  readonly fetched: FetchedText | undefined
  /** The newest first. None is older than the policy. */
  readonly failures: readonly FailedFetch[]
  /** What was fetched before is forgotten by the operator's word. */
  readonly purgedAtMs: number | undefined
}

export const NOTHING: Entry = { fetched: undefined, failures: [], purgedAtMs: undefined }

/** RFC 8461 section 3.3: no second try for the same id before. */
export const BACK_OFF_MS = 300_000
/** An id is cheap for who can forge one. */
const MAX_FAILURES = 4
const MAX_REASON_CHARACTERS = 300

export function expiryMs({ fetchedAtMs, policy }: FetchedText): number {
  return fetchedAtMs + policy.maxAgeSeconds * 1000
}

/** The policy, unless it is over: nobody applies it then, whatever else fails. */
export function livePolicy({ fetched }: Entry, nowMs: number): FetchedText | undefined {
  return fetched && expiryMs(fetched) > nowMs ? fetched : undefined
}

/** Of an id that is not to be tried again yet. */
export function backingOff({ failures }: Entry, id: string, nowMs: number): StsFailure | undefined {
  const failed = failures.find((one) => one.id === id && Math.abs(nowMs - one.atMs) < BACK_OFF_MS)
  return failed?.failure
}

export function withFailure(entry: Entry, failed: FailedFetch): Entry {
  const reason = failed.failure.reason.slice(0, MAX_REASON_CHARACTERS)
  const first = { ...failed, failure: { ...failed.failure, reason } }
  const others = entry.failures.filter(({ id }) => id !== failed.id)
  return { ...entry, failures: [first, ...others].slice(0, MAX_FAILURES) }
}

/** What is at hand and what is stored: the last fetch counts, of two in one moment the stored one; what is purged is gone. */
export function merge(atHand: Entry, stored: Entry): Entry {
  const purgedAtMs = Math.max(atHand.purgedAtMs ?? -Infinity, stored.purgedAtMs ?? -Infinity)
  const [newest] = [stored.fetched, atHand.fetched]
    .filter((fetched) => fetched !== undefined)
    .filter(({ fetchedAtMs }) => fetchedAtMs > purgedAtMs)
    .toSorted((left, right) => right.fetchedAtMs - left.fetchedAtMs)
  const sinceMs = newest?.fetchedAtMs ?? purgedAtMs
  const all = [...stored.failures, ...atHand.failures]
    .filter(({ atMs }) => atMs >= sinceMs)
    .toSorted((left, right) => right.atMs - left.atMs)
  const failures = all.filter(({ id }, at) => all.findIndex((failed) => failed.id === id) === at)
  return {
    fetched: newest,
    failures: failures.slice(0, MAX_FAILURES),
    purgedAtMs: newest === undefined && purgedAtMs > -Infinity ? purgedAtMs : undefined,
  }
}

export function formatEntry({ fetched, failures, purgedAtMs }: Entry): string {
  const { id, fetchedAtMs, text } = fetched ?? {}
  return JSON.stringify({
    version: 1,
    ...(fetched && { fetched: { id, fetchedAtMs, text } }),
    failures: failures.map(({ id, atMs, failure }) => ({ id, atMs, ...failure })),
    purgedAtMs,
  })
}

/** TempError cache/malformed for what we did not write: that something was kept is all that it tells. */
export function parseEntry(domain: string, value: string): Entry {
  try {
    const { version, fetched, failures, purgedAtMs } = asRecord(JSON.parse(value))
    if (version !== 1 || !Array.isArray(failures)) throw new TypeError('not as we write it')
    return {
      fetched: fetched === undefined ? undefined : parseFetched(asRecord(fetched)),
      failures: failures.map((failed) => parseFailed(asRecord(failed))),
      purgedAtMs: purgedAtMs === undefined ? undefined : asNumber(purgedAtMs),
    }
  } catch (cause) {
    if (!(cause instanceof PermError || cause instanceof TypeError || cause instanceof SyntaxError))
      throw cause
    const what = `what is kept of the MTA-STS policy of ${domain} is damaged`
    throw new TempError('cache/malformed', what, { cause })
  }
}

function parseFetched({ id, fetchedAtMs, text }: Fields): FetchedText {
  const policy = parsePolicy(asText(text))
  return { id: asText(id), fetchedAtMs: asNumber(fetchedAtMs), text: asText(text), policy }
}

function parseFailed({ id, atMs, resultType, reason }: Fields): FailedFetch {
  if (
    resultType !== 'sts-policy-fetch-error' &&
    resultType !== 'sts-policy-invalid' &&
    resultType !== 'sts-webpki-invalid'
  )
    throw new TypeError('no type of failure')
  return { id: asText(id), atMs: asNumber(atMs), failure: { resultType, reason: asText(reason) } }
}

type Fields = Partial<Record<string, unknown>>

function asRecord(value: unknown): Fields {
  if (typeof value !== 'object' || value === null) throw new TypeError('no object')
  return { ...value }
}

function asText(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('no text')
  return value
}

function asNumber(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new TypeError('no number')
  return value + 0 // -0 is JSON
}
