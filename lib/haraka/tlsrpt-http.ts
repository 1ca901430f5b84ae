// Reports that come by POST: RFC 8460 section 5.4, in the words of RFC 9110. Whoever asks is a stranger: what he sends is
// bounded in size, time and number, and he is told no more than whether it was taken.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../clock.ts'
import { HishoError, PermError } from '../errors.ts'
import { parseContentType } from '../mail/content-type.ts'
import type { Log } from '../services/services.ts'
import type { ReceiveSettings } from '../services/tlsrpt-receive-settings.ts'
import type { Receiver } from '../tlsrpt/received/receive.ts'
import type { HttpHandler } from './api.ts'
import { describe } from './hook.ts'

export interface ReportDoorOptions {
  readonly settings: () => ReceiveSettings
  readonly receiver: () => Receiver
  readonly clock: Clock
  readonly log: Log
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly headers?: Readonly<Record<string, string>>
}

const TYPES = new Set(['application/tlsrpt+gzip', 'application/tlsrpt+json'])
const BODY_MS = 30_000
/** At one time: what is unpacked lies in memory. */
const MAX_READING = 4
const RETRY = { 'Retry-After': '3600' }

const KEPT: Answer = { status: 201, text: 'kept' }
const KNOWN: Answer = { status: 200, text: 'known already' }
const MALFORMED: Answer = { status: 400, text: 'no report' }
const ONLY_POST: Answer = { status: 405, text: 'only POST', headers: { Allow: 'POST' } }
const LATE: Answer = { status: 408, text: 'too slow' }
const TOO_LONG: Answer = { status: 413, text: 'too long' }
const NO_REPORT_TYPE: Answer = {
  status: 415,
  text: 'application/tlsrpt+gzip or application/tlsrpt+json',
  headers: { Accept: [...TYPES].join(', ') },
}
const TOO_MANY: Answer = { status: 429, text: 'too many', headers: RETRY }
const LATER: Answer = { status: 503, text: 'try again later', headers: RETRY }

/** Answers for its path alone, and never throws. */
export function createReportDoor({
  settings,
  receiver,
  clock,
  log,
}: ReportDoorOptions): HttpHandler {
  const hasTurn = createTurns(clock)
  let reading = 0

  const answerTo = async (request: IncomingMessage): Promise<Answer> => {
    const { limits, clientAddress, requestsPerMinute } = settings()
    if (request.method !== 'POST') return ONLY_POST
    const type = parseContentType(request.headers['content-type'] ?? '')?.type
    const coding = request.headers['content-encoding'] ?? 'identity'
    if (type === undefined || !TYPES.has(type) || coding !== 'identity') return NO_REPORT_TYPE
    if (Number(request.headers['content-length'] ?? 0) > limits.sizeBytes) return TOO_LONG
    const client = clientOf(request, clientAddress)
    if (!hasTurn(client, requestsPerMinute)) return TOO_MANY
    if (reading >= MAX_READING) return LATER
    reading += 1
    try {
      const body = await bodyOf(request, limits.sizeBytes)
      if (!(body instanceof Uint8Array)) return body
      const { status } = await receiver().receive(body, { via: 'https', from: client, dkim: [] })
      return { kept: KEPT, duplicate: KNOWN, full: LATER }[status]
    } catch (error) {
      const known = error instanceof HishoError
      log(known ? 'notice' : 'error', `a report by POST of ${client}: ${described(error)}`)
      return error instanceof PermError ? MALFORMED : LATER
    } finally {
      reading -= 1
    }
  }

  return (request, response, passOn) => {
    const { path } = settings()
    if (path === '' || (request.url ?? '').split('?', 1)[0] !== path) return passOn()
    answerTo(request)
      .then((answer) => send(request, response, answer))
      .catch(() => response.destroy())
  }
}

function described(error: unknown): string {
  return error instanceof HishoError || !(error instanceof Error)
    ? describe(error)
    : `a bug: ${error.stack}`
}

/** No more than so many bytes are ever held. */
function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | Answer> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = []
    let length = 0
    const end = (result: Uint8Array | Answer): void => {
      clearTimeout(timer)
      request.removeAllListeners('data')
      request.pause()
      resolve(result)
    }
    const timer = setTimeout(() => end(LATE), BODY_MS)
    request.on('data', (piece: Buffer) => {
      length += piece.length
      if (length > maxBytes) return end(TOO_LONG)
      pieces.push(piece)
    })
    request.on('end', () => end(Buffer.concat(pieces)))
    request.on('error', () => end(MALFORMED))
    request.on('close', () => end(MALFORMED))
  })
}

function clientOf(
  { headers, socket }: IncomingMessage,
  from: ReceiveSettings['clientAddress'],
): string {
  const forwarded =
    String(headers['x-forwarded-for'] ?? '')
      .split(',')
      .at(-1)
      ?.trim() ?? ''
  const address = from === 'forwarded' && /^[\da-fA-F.:]{2,45}$/.test(forwarded) ? forwarded : ''
  return address || (socket.remoteAddress ?? 'unknown')
}

const MAX_CLIENTS = 10_000
const MINUTE_MS = 60_000

/** So many a minute for each client; of IPv6 a network of 64 bits is one. All are forgotten when there are too many. */
function createTurns(clock: Clock): (client: string, perMinute: number) => boolean {
  let minute = 0
  const counts = new Map<string, number>()
  return (client, perMinute) => {
    const now = Math.floor(clock.nowMs() / MINUTE_MS)
    if (now !== minute || counts.size >= MAX_CLIENTS) counts.clear()
    minute = now
    const isLong = client.includes(':') && !client.includes('.')
    const name = isLong ? client.split(':').slice(0, 4).join(':') : client
    const count = (counts.get(name) ?? 0) + 1
    counts.set(name, count)
    return count <= perMinute
  }
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  if (response.destroyed) return
  const body = Buffer.from(`${answer.text}\n`)
  // What was not read of the request cannot be told from a next one.
  const close = !request.complete
  response.writeHead(answer.status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': body.length,
    'X-Content-Type-Options': 'nosniff',
    ...(close && { Connection: 'close' }),
    ...answer.headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
