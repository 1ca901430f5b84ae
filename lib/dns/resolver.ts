// A stub resolver (RFC 1035, RFC 2308, RFC 6840 section 5.8). Node's own tells neither TLSA records nor the AD bit,
// nor the TTL of most types or of a negative answer.
import { randomInt } from 'node:crypto'
import { PermError, TempError } from '../errors.ts'
import { ask, type AskOptions } from './ask.ts'
import { withDeadline } from './deadline.ts'
import { RCODE, type Reply, type Response, type ResponseRecord } from './message.ts'
import { ROOT, parseName, sameName } from './name.ts'
import type { Answer, RecordType, RecordTypes } from './records.ts'
import type { DnsServer } from './servers.ts'

/** A negative answer without SOA ought not to be cached (RFC 2308 section 5); a minute spares the server all the same. */
const NO_SOA_TTL_SECONDS = 60
const MAX_ALIASES = 8

export interface ResolverOptions {
  /** Asked in this order; at least one. */
  readonly servers: readonly DnsServer[]
  /** For one server and one try. Default 2000. */
  readonly timeoutMs?: number
  /** How often the list of servers is walked. Default 2. */
  readonly tries?: number
  /** A 16-bit number for each query, by default from the system's cryptographic source. */
  readonly randomId?: () => number
}

export interface Resolver {
  /**
   * The records, or that there are none. Throws a TempError (`dns/servfail`, `dns/refused`, `dns/timeout`,
   * `dns/malformed`) when that cannot be said, a PermError for a name that no DNS can hold, and the signal's reason.
   * All in all it takes no longer than `timeoutMs` times `tries` times the number of servers.
   */
  resolve<T extends RecordType>(name: string, type: T, signal?: AbortSignal): Promise<Answer<T>>
}

export function createResolver({
  servers,
  timeoutMs = 2000,
  tries = 2,
  randomId = () => randomInt(0x1_00_00),
}: ResolverOptions): Resolver {
  if (servers.length === 0) throw new PermError('dns/malformed', 'no DNS server to ask')
  const options: AskOptions = { servers, timeoutMs, tries, randomId }
  return createResolverOver(timeoutMs * tries * servers.length, (name, type, signal) =>
    ask(name, type, options, signal),
  )
}

export type AskOnce = (name: string, type: RecordType, signal: AbortSignal) => Promise<Reply>

/** A resolver that puts its questions in some way of its own. */
export function createResolverOver(limitMs: number, askOnce: AskOnce): Resolver {
  return {
    async resolve(name, type, signal) {
      const asked = name === ROOT ? ROOT : parseName(name)
      return withDeadline(limitMs, signal, (limited) => follow(asked, type, askOnce, limited))
    },
  }
}

/** Where a response leaves us: with records, without, or with another name to ask for. */
interface Step<T extends RecordType> {
  readonly records: readonly RecordTypes[T][]
  readonly name: string
  readonly ttlSeconds: number
}

async function follow<T extends RecordType>(
  asked: string,
  type: T,
  askOnce: AskOnce,
  signal: AbortSignal,
): Promise<Answer<T>> {
  const seen = new Set([asked])
  let name = asked
  let ttlSeconds = Infinity
  let authentic = true
  for (;;) {
    const { response, trusted }: Reply = await askOnce(name, type, signal)
    // The AD bit is worth what the way to the server is worth: RFC 4035 section 4.9.3.
    authentic &&= response.authenticData && trusted
    const step = readChain(name, type, response, seen)
    ttlSeconds = Math.min(ttlSeconds, step.ttlSeconds)
    if (step.records.length > 0) {
      const { records, name: canonicalName } = step
      return { status: 'found', records, ttlSeconds, authentic, canonicalName }
    }
    // The code is about the end of the chain: RFC 6604 section 3.
    const absent = response.code === RCODE.nxDomain ? 'nxdomain' : 'nodata'
    const ended = step.name === name || response.negativeTtlSeconds !== undefined
    if (absent === 'nxdomain' || ended) {
      const negative = response.negativeTtlSeconds ?? NO_SOA_TTL_SECONDS
      ttlSeconds = Math.min(ttlSeconds, negative)
      return { status: absent, ttlSeconds, authentic, canonicalName: step.name }
    }
    name = step.name
  }
}

/** Follows the aliases inside one answer section, in whatever order they stand there. */
function readChain<T extends RecordType>(
  start: string,
  type: T,
  { answers }: Response,
  seen: Set<string>,
): Step<T> {
  let name = start
  let ttlSeconds = Infinity
  for (;;) {
    const here = answers.filter((record) => sameName(record.name, name))
    const found = here.filter((record) => isOfType(record, type))
    const alias = here.find((record) => isOfType(record, 'CNAME'))
    for (const record of found) ttlSeconds = Math.min(ttlSeconds, record.ttlSeconds)
    if (found.length > 0 || alias === undefined) {
      return { records: found.map((record) => record.data), name, ttlSeconds }
    }
    ttlSeconds = Math.min(ttlSeconds, alias.ttlSeconds)
    name = aliasTarget(alias.data)
    if (seen.has(name)) throw new TempError('dns/malformed', `${start}: its aliases go in circles`)
    seen.add(name)
    if (seen.size > MAX_ALIASES + 1) {
      throw new TempError('dns/malformed', `${start}: more than ${MAX_ALIASES} aliases`)
    }
  }
}

function aliasTarget(text: string): string {
  try {
    return parseName(text)
  } catch (cause) {
    throw new TempError('dns/malformed', 'an alias to a name that we cannot ask for', { cause })
  }
}

function isOfType<T extends RecordType>(
  record: ResponseRecord,
  type: T,
): record is ResponseRecord & ResponseRecord<T> {
  return record.type === type
}
