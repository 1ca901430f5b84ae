// One question, asked of several servers until one answers it.
import { TempError } from '../errors.ts'
import { withDeadline } from './deadline.ts'
import {
  RCODE,
  formatQuery,
  parseResponse,
  type Query,
  type Reply,
  type Response,
} from './message.ts'
import type { RecordType } from './records.ts'
import { formatServer, type DnsServer } from './servers.ts'
import { exchangeTcp, exchangeUdp, type Exchange } from './transport.ts'

export interface AskOptions {
  readonly servers: readonly DnsServer[]
  /** For one server and one try, a retry over TCP included. */
  readonly timeoutMs: number
  /** How often the list is walked. */
  readonly tries: number
  /** A random 16-bit number, RFC 5452 section 9.2. */
  readonly randomId: () => number
}

/** From the most to the least telling: what is reported when each server failed in its own way. */
const FAILURES = ['dns/servfail', 'dns/refused', 'dns/malformed', 'dns/timeout'] as const

/**
 * The first response that is an answer (NXDOMAIN is one). A server that says SERVFAIL or REFUSED is not asked the same
 * again (RFC 9520 section 3.1); one that is silent or garbled is, in the next walk.
 */
export async function ask(
  name: string,
  type: RecordType,
  { servers, timeoutMs, tries, randomId }: AskOptions,
  signal: AbortSignal,
): Promise<Reply> {
  const failures: { server: DnsServer; error: TempError }[] = []
  let left = servers
  for (let walk = 0; walk < tries; walk += 1) {
    for (const server of left) {
      try {
        const response = await withDeadline(timeoutMs, signal, (limited) =>
          askServer(server, { id: randomId(), name, type, edns: true }, limited),
        )
        return { response, trusted: server.trusted }
      } catch (error) {
        if (signal.aborted || !(error instanceof TempError)) throw error
        failures.push({ server, error })
        if (isFinal(error)) left = left.filter((other) => other !== server)
      }
    }
  }
  throw mostTelling(name, type, failures)
}

async function askServer(server: DnsServer, query: Query, signal: AbortSignal): Promise<Response> {
  let response = await exchange(exchangeUdp, server, query, signal)
  // RFC 7766 section 5: TCP is tried when the UDP answer is truncated.
  if (response.truncated) response = await exchange(exchangeTcp, server, query, signal)
  // RFC 6891 section 6.2.2: a server that does not know EDNS is asked without.
  const unknown: readonly number[] = [RCODE.formErr, RCODE.notImp, RCODE.badVers]
  if (query.edns && !response.truncated && unknown.includes(response.code))
    return askServer(server, { ...query, edns: false }, signal)
  return answerIn(response)
}

/** The response, if it is an answer: records, or that there are none. */
export function answerIn(response: Response): Response {
  if (response.truncated) throw new TempError('dns/malformed', 'truncated to the last')
  switch (response.code) {
    case RCODE.noError:
      if (response.referral && response.answers.length === 0) {
        throw new TempError('dns/servfail', 'does not recurse')
      }
      return response
    case RCODE.nxDomain:
      return response
    case RCODE.refused:
      throw new TempError('dns/refused', 'refused')
    default:
      throw new TempError('dns/servfail', `response code ${response.code}`)
  }
}

function exchange(
  transport: Exchange,
  server: DnsServer,
  query: Query,
  signal: AbortSignal,
): Promise<Response> {
  return transport(
    server,
    formatQuery(query),
    (message) => {
      const response = parseResponse(message, query)
      if (response === 'broken') throw new TempError('dns/malformed', 'sent an unreadable answer')
      return response === 'stray' ? undefined : response
    },
    signal,
  )
}

function isFinal({ code }: TempError): boolean {
  return code === 'dns/servfail' || code === 'dns/refused'
}

function mostTelling(
  name: string,
  type: RecordType,
  failures: readonly { server: DnsServer; error: TempError }[],
): TempError {
  const codes = new Set<string>(failures.map(({ error }) => error.code))
  const code = FAILURES.find((candidate) => codes.has(candidate)) ?? 'dns/timeout'
  const told = failures.map(({ server, error }) => `${formatServer(server)} ${error.message}`)
  const cause = failures.at(-1)?.error
  return new TempError(code, `${name} ${type}: ${told.join('; ')}`, { cause })
}
