// The KGC on the network: HTTPS with client certificates, everything bounded. RFC 8446 (TLS 1.3 only), RFC 9110.
import { constants, type X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../clock.ts'
import type { Asker, KgcAnswer, KgcHandler } from './handler.ts'
import { REQUEST_MAX_BYTES } from './protocol.ts'

/** Names of gateways, as DNS names in their certificates, and the domains whose keys each may have. */
export type GatewayList = ReadonlyMap<string, ReadonlySet<string>>

export interface KgcServerOptions {
  readonly handler: KgcHandler
  readonly gateways: GatewayList
  readonly host: string
  /** 0: a free one. */
  readonly port: number
  readonly certificate: string
  readonly privateKey: string
  /** Who signs the certificates of gateways. PEM. */
  readonly clientAuthorities: string
  readonly clock: Clock
  readonly log: (level: 'warn', message: string) => void
  readonly limits?: Partial<KgcServerLimits>
}

export interface KgcServerLimits {
  readonly handshakeMs: number
  /** For the head of a request, and for all of it. */
  readonly headMs: number
  readonly requestMs: number
  readonly idleMs: number
  readonly connections: number
}

const LIMITS: KgcServerLimits = {
  handshakeMs: 10_000,
  headMs: 5_000,
  requestMs: 10_000,
  idleMs: 60_000,
  connections: 256,
}
const HEAD_MAX_BYTES = 8192
const CHECK_MS = 1000
const REPORT_MS = 60_000

export interface KgcServer {
  readonly port: number
  /** Takes no more, finishes what runs, and resolves. */
  close(): Promise<void>
}

/** Rejects with what the system or OpenSSL says: the address is taken, the key is not the certificate's. */
export async function startKgcServer(options: KgcServerOptions): Promise<KgcServer> {
  const limits = { ...LIMITS, ...options.limits }
  let closing = false
  const server = createServer(
    {
      cert: options.certificate,
      key: options.privateKey,
      ca: options.clientAuthorities,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      // Each connection shows its certificate: a session that is taken up again would outlive it.
      secureOptions: constants.SSL_OP_NO_TICKET,
      handshakeTimeout: limits.handshakeMs,
      headersTimeout: limits.headMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: CHECK_MS,
      maxHeaderSize: HEAD_MAX_BYTES,
    },
    (request, response) => void serve(request, response, { ...options, isClosing: () => closing }),
  )
  server.maxConnections = limits.connections
  reportStrangers(server, options)
  server.listen(options.port, options.host)
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    async close() {
      closing = true
      server.close()
      server.closeIdleConnections()
      await once(server, 'close')
    },
  }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  { handler, gateways, clock, isClosing }: KgcServerOptions & { readonly isClosing: () => boolean },
): Promise<void> {
  response.on('error', () => {}) // the gateway went away
  const certificate = peerOf(request)
  // A connection lives on after the certificate that opened it has ended.
  if (certificate === undefined || Date.parse(certificate.validTo) <= clock.nowMs())
    return void request.socket.destroy()
  const body = await readBody(request)
  if (body === 'gone') return
  const { method = '', url = '' } = request
  const asker = askerOf(certificate, gateways)
  const answer = await handler(asker, { method, target: url, body: body.text })
  // What is left of a body that was too large would be taken for the next request.
  if (body.text === undefined || isClosing()) response.setHeader('Connection', 'close')
  send(response, answer)
}

function peerOf({ socket }: IncomingMessage): X509Certificate | undefined {
  return (socket as TLSSocket).getPeerX509Certificate()
}

/** The names in subjectAltName alone count, without wildcards: RFC 9525 section 2. */
function askerOf(certificate: X509Certificate, gateways: GatewayList): Asker {
  const names = [...gateways.keys()].filter(
    (name) => certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined,
  )
  return {
    gateway: names[0],
    domains: new Set(names.flatMap((name) => [...(gateways.get(name) ?? [])])),
    certificate: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
  }
}

type Body =
  | { /** undefined: too large, or not UTF-8. */ readonly text: string | undefined }
  | 'gone'

async function readBody(request: IncomingMessage): Promise<Body> {
  const pieces: Buffer[] = []
  let size = 0
  const whole = await new Promise<boolean | 'gone'>((resolve) => {
    request.on('data', (piece: Buffer) => {
      size += piece.length
      if (size <= REQUEST_MAX_BYTES) pieces.push(piece)
      else resolve(false) // answered at once, not when all of it has come
    })
    request.on('end', () => resolve(true))
    request.on('close', () => resolve('gone'))
    request.on('error', () => resolve('gone'))
  })
  if (whole === 'gone') return whole
  try {
    if (!whole) return { text: undefined }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces)) }
  } catch {
    return { text: undefined }
  }
}

/** The bytes of a key do not stay here longer than the socket needs them. */
function send(response: ServerResponse, { status, body }: KgcAnswer): void {
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
  })
  response.end(body, () => body.fill(0))
  response.on('close', () => body.fill(0))
}

/** Who comes without a good certificate gets no line of his own: he could fill the disk. */
function reportStrangers(server: Server, { clock, log }: KgcServerOptions): void {
  let count = 0
  let reportedAtMs = -Infinity
  server.on('tlsClientError', (error) => {
    count += 1
    if (clock.nowMs() - reportedAtMs < REPORT_MS) return
    log('warn', `${count} connections without a good certificate were refused: ${error.message}`)
    reportedAtMs = clock.nowMs()
    count = 0
  })
}
