// A few octets from a well-known place, by the rules that MTA-STS has for its policies: RFC 8461 section 3.3. Nothing is sent
// before the certificate is found good for the host's name.
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { HishoError } from '../errors.ts'
import { readBounded } from './bounded-answer.ts'
import { lookUpIn, MAX_ADDRESSES } from './known-addresses.ts'
import { createAddressFilter } from './public-addresses.ts'
import { checkHostName } from './server-identity.ts'

export interface BytesClientOptions {
  /** Addresses of a host, none if there is no such host. Throws HishoErrors where nobody can say. */
  readonly addressesOf: (host: string, signal: AbortSignal) => Promise<readonly string[]>
  /** From the first question to the last byte. */
  readonly timeoutMs: number
  /** PEM of the authorities; by default those that Node knows. */
  readonly ca?: string
  /** Default 443. */
  readonly port?: number
  /** Default 64 KiB. */
  readonly maxBytes?: number
  /** `public`: no connection is made to an address of a private, local or special network. Default `any`. */
  readonly reach?: 'public' | 'any'
  /** The one media type that will do. Default: any. */
  readonly mediaType?: string
}

export type BytesOutcome =
  | {
      readonly status: 'found'
      readonly bytes: Uint8Array
      /** What the server says; undefined: nothing. RFC 9111 section 5.2.2.1. */
      readonly maxAgeSeconds: number | undefined
    }
  /** `no-host`: DNS has no address of it. `not-there`: the server says so, and is who it says it is. */
  | { readonly status: 'absent'; readonly because: 'no-host' | 'not-there' }
  | {
      readonly status: 'unusable'
      /**
       * `certificate`: nothing vouches for the host: its chain, its dates or its name. `refused`: there is no TLS for this host.
       * `answer`: it has answered, with something of no use.
       */
      readonly failure: 'certificate' | 'refused' | 'answer' | 'other'
      readonly reason: string
      /** Of an answer. */
      readonly code?: number
    }

type Failure = Extract<BytesOutcome, { status: 'unusable' }>['failure']

/** The path begins with `/`. Never rejects. */
export type FetchBytes = (host: string, path: string) => Promise<BytesOutcome>

/** From one address. `unreached`: it got no answer there, and another address may have one. */
type Attempt =
  | { readonly status: 'answered'; readonly outcome: BytesOutcome }
  | { readonly status: 'unreached'; readonly outcome: BytesOutcome }

const HTTPS_PORT = 443
const MAX_BYTES = 65_536
/** The part of the time that an address has to answer in, as long as there is another one. */
const SHARE_OF_ONE = 6

export function createBytesClient(options: BytesClientOptions): FetchBytes {
  const { addressesOf, timeoutMs, reach = 'any' } = options
  const filter = createAddressFilter()
  return async (host, path) => {
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(), timeoutMs)
    try {
      const all = await addressesOf(host, controller.signal)
      if (all.length === 0) return { status: 'absent', because: 'no-host' }
      const addresses = reach === 'any' ? all : all.filter((address) => filter.isPublic(address))
      if (addresses.length === 0) return unusable(`${host} has no public address`)
      return await getFromAny(host, path, addresses, controller.signal, options)
    } catch (error) {
      if (controller.signal.aborted) return unusable(`no whole answer in ${timeoutMs} ms`)
      if (!(error instanceof HishoError)) throw error
      return unusable(error.message)
    } finally {
      clearTimeout(timer)
      controller.abort() // whatever is still open
    }
  }
}

/** Not left to Node, which goes on to the next address after a quarter of a second, and never after a failure of TLS. */
async function getFromAny(
  host: string,
  path: string,
  addresses: readonly string[],
  signal: AbortSignal,
  options: BytesClientOptions,
): Promise<BytesOutcome> {
  const few = addresses.slice(0, MAX_ADDRESSES)
  let outcome: BytesOutcome = unusable('no address')
  for (const [at, address] of few.entries()) {
    const isLast = at === few.length - 1
    const limitMs = isLast ? undefined : options.timeoutMs / SHARE_OF_ONE
    const attempt = await get(host, path, { address, limitMs }, signal, options)
    if (attempt.status === 'answered') return attempt.outcome
    // A bad certificate says more than a connection that another address refused.
    if (!isAboutCertificate(outcome)) outcome = attempt.outcome
  }
  return outcome
}

async function get(
  host: string,
  path: string,
  { address, limitMs }: { readonly address: string; readonly limitMs: number | undefined },
  signal: AbortSignal,
  { ca, port = HTTPS_PORT, mediaType, maxBytes = MAX_BYTES }: BytesClientOptions,
): Promise<Attempt> {
  let socket: Socket | undefined
  const sent = request({
    host, // the name for SNI (RFC 8461 section 3.3), for the certificate, and for the Host field
    port,
    path,
    lookup: lookUpIn([address]),
    minVersion: 'TLSv1.2', // RFC 8996
    checkServerIdentity: checkHostName,
    agent: false, // a connection of its own, closed after the answer
    headers: { accept: mediaType ?? '*/*', 'accept-encoding': 'identity' },
    signal,
    ...(ca !== undefined && { ca }),
  })
  sent.on('socket', (given) => (socket = given))
  const timer =
    limitMs === undefined
      ? undefined
      : setTimeout(() => sent.destroy(new Error(`no answer in ${limitMs} ms`)), limitMs)
  let response: IncomingMessage | undefined
  try {
    response = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.on('response', resolve)
      sent.on('error', reject)
      sent.end()
    })
    clearTimeout(timer)
    return { status: 'answered', outcome: await readResponse(response, mediaType, maxBytes) }
  } catch (error) {
    if (signal.aborted || !(error instanceof Error)) throw error
    const failure = isDistrusted(socket) ? 'certificate' : isRefusal(error) ? 'refused' : 'other'
    const outcome = unusable(error.message, failure)
    return { status: response === undefined ? 'unreached' : 'answered', outcome }
  } finally {
    clearTimeout(timer)
    sent.destroy()
  }
}

/** What Node found against the certificate, the wrong name too; its types say less than it does. */
function isDistrusted(socket: Socket | undefined): boolean {
  if (!(socket instanceof TLSSocket)) return false
  const found: unknown = socket.authorizationError
  return found !== null && found !== undefined
}

function isAboutCertificate(outcome: BytesOutcome): boolean {
  return outcome.status === 'unusable' && outcome.failure === 'certificate'
}

/** Nobody listens there, or TLS ends with an alert, as where a server does not have the host. */
function isRefusal(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : ''
  return code === 'ECONNREFUSED' || /^ERR_SSL_.*(?:ALERT|UNRECOGNIZED_NAME)/.test(code)
}

async function readResponse(
  response: IncomingMessage,
  mediaType: string | undefined,
  maxBytes: number,
): Promise<BytesOutcome> {
  const { statusCode, headers } = response
  if (statusCode === 404 || statusCode === 410) return { status: 'absent', because: 'not-there' }
  // RFC 8461 section 3.3: redirects are not followed, and no other code will do.
  if (statusCode !== 200)
    return { ...unusable(`status ${statusCode}`, 'answer'), code: statusCode ?? 0 }
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (mediaType !== undefined && type !== mediaType)
    return { ...unusable(`media type ${type ?? 'missing'}`, 'answer'), code: statusCode }
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') return unusable('encoded')
  const bytes = await readBounded(response, maxBytes)
  if (!bytes) return unusable(`longer than ${maxBytes} bytes`)
  return { status: 'found', bytes, maxAgeSeconds: maxAgeIn(headers['cache-control'] ?? '') }
}

function maxAgeIn(text: string): number | undefined {
  if (/(?:^|,)\s*no-(?:store|cache)\s*(?:,|$)/i.test(text)) return 0
  const [, seconds] = /(?:^|,)\s*max-age="?(\d{1,9})"?\s*(?:,|$)/i.exec(text) ?? []
  return seconds === undefined ? undefined : Number(seconds)
}

function unusable(
  reason: string,
  failure: Failure = 'other',
): Extract<BytesOutcome, { status: 'unusable' }> {
  return { status: 'unusable', failure, reason }
}
