// One HTTP/2 connection to a resolver, kept and shared by all queries: DNS over HTTPS, RFC 8484. When it breaks, the next
// query opens another one.
import type { OutgoingHttpHeaders } from 'node:http'
import {
  connect as connectHttp2,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from 'node:http2'
import { isIP } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { TempError } from '../errors.ts'
import { lookUpIn } from '../http/known-addresses.ts'
import { checkHostName } from '../http/server-identity.ts'
import { withDeadline } from './deadline.ts'

const MESSAGE_TYPE = 'application/dns-message' // RFC 8484 section 6
const MESSAGE_MAX_BYTES = 65_535
const IDLE_MS = 60_000
const HTTPS_PORT = 443

export interface HttpsSessionOptions {
  /** `https://`, a host, a path. */
  readonly url: URL
  /** Of that host. */
  readonly addressesOf: (host: string, signal: AbortSignal) => Promise<readonly string[]>
  /** PEM of the authorities; by default those that Node knows. */
  readonly ca?: string
  /** For opening the connection, the look-up of the host included. */
  readonly timeoutMs: number
}

export interface HttpsSession {
  /** The answer's bytes. TempError http/* for whatever is not one, or the signal's reason. */
  post(message: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** After a silence: the next query opens another connection. */
  drop(): void
  close(): void
}

export function createHttpsSession(options: HttpsSessionOptions): HttpsSession {
  const { url, timeoutMs } = options
  let current: Promise<ClientHttp2Session> | undefined
  let closed = false

  const open = async (signal: AbortSignal): Promise<ClientHttp2Session> => {
    const socket = await connectSecurely(options, signal)
    const session = connectHttp2(url, {
      createConnection: () => socket,
      settings: { enablePush: false },
    })
    session.on('error', () => {}) // its streams say it
    session.setTimeout(IDLE_MS, () => session.close())
    return session
  }
  const take = (): Promise<ClientHttp2Session> => {
    if (current) return current
    // By its own clock: those who wait for it came at different times.
    const opening = withDeadline(timeoutMs, undefined, open)
    const forget = (): void => {
      if (current === opening) current = undefined
    }
    current = opening
    opening.then((session) => session.once('close', forget).once('goaway', forget), forget)
    return opening
  }
  const drop = (): void => {
    current?.then(
      (session) => session.destroy(),
      () => {},
    )
    current = undefined
  }

  return {
    async post(message, signal) {
      if (closed) throw unreachable('closed')
      return request(await unlessAborted(take(), signal), url, message, signal)
    },
    drop,
    close() {
      closed = true
      drop()
    },
  }
}

/** The certificate is checked against the host of the URL, wherever its address comes from: RFC 8484 section 5. */
async function connectSecurely(
  { url, addressesOf, ca }: HttpsSessionOptions,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const isName = isIP(host) === 0
  const addresses = isName ? await addressesOf(host, signal) : [host]
  if (addresses.length === 0) throw unreachable(`${host} has no address`)
  const socket = connectTls({
    host,
    port: url.port === '' ? HTTPS_PORT : Number(url.port),
    lookup: lookUpIn(addresses),
    ...(isName && { servername: host }),
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.2', // RFC 9113 section 9.2
    checkServerIdentity: checkHostName,
    ...(ca !== undefined && { ca }),
  })
  const connected = new Promise<TLSSocket>((resolve, reject) => {
    socket.on('error', (cause) => reject(unreachable(cause.message, cause)))
    socket.once('close', () => reject(unreachable('closed the connection early')))
    socket.once('secureConnect', () => resolve(socket))
  })
  try {
    await unlessAborted(connected, signal)
    if (socket.alpnProtocol !== 'h2') throw unreachable('speaks no HTTP/2')
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function request(
  session: ClientHttp2Session,
  { pathname, search }: URL,
  message: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  // RFC 8484 section 4.1: as POST, the question stands in no log of paths.
  const stream = openStream(session, {
    ':method': 'POST',
    ':path': `${pathname}${search}`,
    'content-type': MESSAGE_TYPE,
    accept: MESSAGE_TYPE,
  })
  const answer = new Promise<Uint8Array>((resolve, reject) => {
    const pieces: Buffer[] = []
    let size = 0
    let good = false
    stream.on('error', (cause) => reject(unreachable(cause.message, cause)))
    stream.on('response', (headers) => {
      const { ':status': status, 'content-type': type = 'missing' } = headers
      // RFC 8484 section 4.2.1: nothing but a successful response of this type holds an answer.
      if (status !== 200) return reject(new TempError('http/status', `status ${status}`))
      if (type.split(';')[0]?.trim().toLowerCase() !== MESSAGE_TYPE)
        return reject(new TempError('http/malformed', `media type ${type}`))
      good = true
    })
    stream.on('data', (piece: Buffer) => {
      size += piece.length
      if (size > MESSAGE_MAX_BYTES) return reject(new TempError('http/malformed', 'sent too much'))
      pieces.push(piece)
    })
    stream.on('end', () => {
      if (good) resolve(Uint8Array.from(Buffer.concat(pieces)))
    })
    stream.on('close', () => reject(unreachable('closed the connection early')))
  })
  stream.end(message)
  return unlessAborted(answer, signal).finally(() => stream.close(constants.NGHTTP2_CANCEL))
}

function openStream(session: ClientHttp2Session, headers: OutgoingHttpHeaders): ClientHttp2Stream {
  try {
    return session.request(headers)
  } catch (cause) {
    throw unreachable('closes the connection', cause) // it said goodbye a moment ago
  }
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    work.finally(() => signal.removeEventListener('abort', abort)).then(resolve, reject)
    if (signal.aborted) abort()
  })
}

function unreachable(what: string, cause?: unknown): TempError {
  return new TempError('http/unreachable', what, { cause })
}
