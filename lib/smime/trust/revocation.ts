// Whether a certificate is revoked: OCSP first (RFC 6960), lists then (RFC 5280 section 6.3). What is signed and still fresh
// is kept, and judged again each time; what could not be had is asked for again after a minute.
import { createHash, randomBytes } from 'node:crypto'
import type { Cache } from '../../cache/cache.ts'
import { createSingleFlight } from '../../cache/single-flight.ts'
import type { Clock } from '../../clock.ts'
import { PermError } from '../../errors.ts'
import type { AskPlainly, PlainOutcome } from '../../http/plain-http.ts'
import type { Link } from './chain.ts'
import { formatOcspRequest, readOcspAnswer } from './ocsp.ts'
import { placesOf } from './places.ts'
import { readRevocationList, scopeProblem, type RevocationList } from './revocation-list.ts'
import type { Revocation, RevocationStatus } from './revocation-mode.ts'

export interface RevocationOptions {
  readonly clock: Clock
  readonly cache: Cache
  readonly ask: AskPlainly
  /** For all questions about one certificate; what comes later is there for the next time. */
  readonly deadlineMs: number
}

/** Whatever is said of the time to come: an authority that had an accident must be heard some day. */
const MAX_KEPT_MS = 7 * 86_400_000
const FAILURE_KEPT_SECONDS = 60
const MAX_AHEAD_MS = 300_000
/** Of an answer that does not say. */
const FRESH_MS = 3_600_000
const NONCE_BYTES = 32 // RFC 9654 section 2.1
const MAX_LISTS_READ = 50

/** A status, and until when it may be believed. */
interface Judged {
  readonly status: RevocationStatus
  readonly freshUntilMs: number
}

type Judge = (bytes: Uint8Array) => Judged

export function createRevocation({ clock, cache, ask, deadlineMs }: RevocationOptions): Revocation {
  const flights = createSingleFlight<string>()
  const lists = new Map<string, { readonly bytes: string; readonly list: RevocationList }>()

  /** As it is kept: base64, or `-` and a reason. Never rejects for an answer. */
  const fetchOnce = (
    key: string,
    exchange: () => Promise<PlainOutcome>,
    judge: Judge,
  ): Promise<string> =>
    flights.fetchOnce(key, async () => {
      const outcome = await exchange()
      const kept = keptForm(outcome, judge, clock.nowMs())
      await cache.set(key, kept.text, kept.seconds)
      return kept.text
    })

  const statusFrom = async (
    key: string,
    exchange: () => Promise<PlainOutcome>,
    judges: { readonly fresh: Judge; readonly kept: Judge },
  ): Promise<RevocationStatus> => {
    const cached = await cache.get(key)
    const before = cached === undefined ? undefined : tryStatus(cached, judges.kept, clock.nowMs())
    if (before !== undefined) return before
    const text = await fetchOnce(key, exchange, judges.fresh)
    return tryStatus(text, judges.kept, clock.nowMs()) ?? unknown('what came is out of date')
  }

  const byOcsp = (link: Link, issuer: Link, url: string): Promise<RevocationStatus> => {
    const nonce = randomBytes(NONCE_BYTES)
    const judge =
      (sent: Uint8Array | undefined): Judge =>
      (bytes) => {
        const answer = readOcspAnswer(bytes, link, issuer, { nowMs: clock.nowMs(), nonce: sent })
        const { status, thisUpdateMs, nextUpdateMs = thisUpdateMs + FRESH_MS } = answer
        return judged(status, `by OCSP of ${day(thisUpdateMs)}`, thisUpdateMs, nextUpdateMs)
      }
    const body = { type: 'application/ocsp-request', bytes: formatOcspRequest(link, issuer, nonce) }
    return statusFrom(
      keyFor('ocsp', url, issuer.der, link.der),
      () => ask({ url, accept: 'application/ocsp-response', body }),
      { fresh: judge(nonce), kept: judge(undefined) },
    )
  }

  const byList = (link: Link, issuer: Link, url: string): Promise<RevocationStatus> => {
    const key = keyFor('crl', url, issuer.der)
    const judge: Judge = (bytes) => {
      const list = readOnce(lists, key, bytes, issuer)
      const number = Buffer.from(link.certificate.serialNumber).toString('hex')
      const other = scopeProblem(list, link, url)
      if (other !== undefined) return { status: unknown(other), freshUntilMs: list.nextUpdateMs }
      const { thisUpdateMs, nextUpdateMs } = list
      const place = `by the list of ${day(thisUpdateMs)}, good until ${day(nextUpdateMs)}`
      const reason = list.revoked.get(number)
      const status = reason === undefined ? 'good' : 'revoked'
      return judged(status, reason ?? place, thisUpdateMs, nextUpdateMs)
    }
    return statusFrom(key, () => ask({ url, accept: 'application/pkix-crl' }), {
      fresh: judge,
      kept: judge,
    })
  }

  const judged = (
    status: 'good' | 'revoked' | 'unknown',
    text: string,
    thisUpdateMs: number,
    freshUntilMs: number,
  ): Judged => {
    if (thisUpdateMs > clock.nowMs() + MAX_AHEAD_MS)
      throw new PermError('crypto/unsupported', 'it is of the future')
    if (status === 'good') return { status: { status, note: `not revoked ${text}` }, freshUntilMs }
    return { status: { status, reason: text }, freshUntilMs }
  }

  const askAll = async (link: Link, issuer: Link): Promise<RevocationStatus> => {
    const { ocsp, lists: urls } = placesOf(link.certificate)
    let last: RevocationStatus = { status: 'unasked', reason: 'it names nobody to ask' }
    const questions = [
      ...ocsp.map((url) => () => byOcsp(link, issuer, url)),
      ...urls.map((url) => () => byList(link, issuer, url)),
    ]
    for (const question of questions) {
      last = await question()
      if (last.status !== 'unknown') return last
    }
    return last
  }

  return { check: (link, issuer) => unlessLate(askAll(link, issuer), deadlineMs) }
}

async function unlessLate(
  status: Promise<RevocationStatus>,
  deadlineMs: number,
): Promise<RevocationStatus> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<RevocationStatus>((resolve) => {
    timer = setTimeout(() => resolve(unknown(`no answer in ${deadlineMs} ms`)), deadlineMs)
  })
  try {
    return await Promise.race([status, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What was read of a list is kept too: one of a great authority has very many entries. */
function readOnce(
  lists: Map<string, { readonly bytes: string; readonly list: RevocationList }>,
  key: string,
  bytes: Uint8Array,
  issuer: Link,
): RevocationList {
  const hash = createHash('sha256').update(bytes).digest('base64')
  const before = lists.get(key)
  if (before?.bytes === hash) return before.list
  const list = readRevocationList(bytes, issuer)
  lists.delete(key)
  lists.set(key, { bytes: hash, list })
  const [oldest] = lists.keys()
  if (lists.size > MAX_LISTS_READ && oldest !== undefined) lists.delete(oldest)
  return list
}

function keptForm(
  outcome: PlainOutcome,
  judge: Judge,
  nowMs: number,
): { readonly text: string; readonly seconds: number } {
  const failed = (reason: string) => ({ text: `-${reason}`, seconds: FAILURE_KEPT_SECONDS })
  if (outcome.status === 'unusable') return failed(outcome.reason)
  try {
    const leftMs = Math.min(judge(outcome.bytes).freshUntilMs - nowMs, MAX_KEPT_MS)
    if (leftMs <= 0) return failed('what came is out of date')
    const text = Buffer.from(outcome.bytes).toString('base64')
    return { text, seconds: Math.ceil(leftMs / 1000) }
  } catch (error) {
    if (error instanceof PermError) return failed(error.message)
    throw error
  }
}

/** undefined: what is kept says nothing any more. */
function tryStatus(kept: string, judge: Judge, nowMs: number): RevocationStatus | undefined {
  if (kept.startsWith('-')) return unknown(kept.slice(1))
  try {
    const { status, freshUntilMs } = judge(Buffer.from(kept, 'base64'))
    return freshUntilMs > nowMs ? status : undefined
  } catch (error) {
    if (error instanceof PermError) return undefined
    throw error
  }
}

function keyFor(kind: string, url: string, ...ders: readonly Uint8Array[]): string {
  const hash = createHash('sha256').update(url)
  for (const der of ders) hash.update('\0').update(createHash('sha256').update(der).digest())
  return `smime:${kind}:${hash.digest('base64url')}`
}

function unknown(reason: string): RevocationStatus {
  return { status: 'unknown', reason }
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19)
}
