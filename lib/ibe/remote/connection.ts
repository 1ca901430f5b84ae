// HTTPS from a gateway to its KGC: the operator's own authority and no other, TLS 1.3, the server's name checked, an end to
// waiting and to answers. RFC 8446, RFC 9110, RFC 9525.
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { TempError } from '../../errors.ts'
import { ANSWER_MAX_BYTES } from './protocol.ts'

export interface KgcConnectionOptions {
  /** `https://host:port`, nothing behind it. */
  readonly url: string
  /** Who signs the KGC's certificate. PEM. */
  readonly authorities: string
  readonly certificate: string
  readonly privateKey: string
  /** For a request and all of its answer. */
  readonly timeoutMs: number
}

export interface KgcQuestion {
  readonly method: 'GET' | 'POST'
  /** Path and query. */
  readonly target: string
  readonly body?: string
}

export interface KgcReply {
  readonly status: number
  readonly text: string
}

export interface KgcConnection {
  /** TempError kgc/unreachable for every way in which no whole answer comes. */
  ask(question: KgcQuestion): Promise<KgcReply>
  close(): void
}

const CONNECTIONS_MAX = 8

/** Opened when it is first needed, and kept. */
export function createKgcConnection(options: KgcConnectionOptions): KgcConnection {
  const { url, timeoutMs } = options
  const agent = new Agent({
    keepAlive: true,
    maxSockets: CONNECTIONS_MAX,
    ca: options.authorities,
    cert: options.certificate,
    key: options.privateKey,
    minVersion: 'TLSv1.3',
    rejectUnauthorized: true, // said here, an environment variable does not undo it
  })
  const once = (question: KgcQuestion, signal: AbortSignal): Promise<KgcReply> =>
    new Promise((resolve, reject) => {
      const { method, target, body } = question
      const headers = body === undefined ? {} : { 'Content-Type': 'application/json' }
      const sent = request(new URL(target, url), { method, agent, signal, headers }, (answer) => {
        readAnswer(answer).then(resolve, reject)
      })
      sent.on('error', (cause) => {
        reject(new ConnectionError(cause.message, { cause, idle: sent.reusedSocket }))
      })
      sent.end(body)
    })
  return {
    async ask(question) {
      const signal = AbortSignal.timeout(timeoutMs)
      try {
        return await once(question, signal).catch((error: unknown) => {
          // The KGC may have closed an idle connection at the very moment when it was used again.
          if (isStale(error) && !signal.aborted) return once(question, signal)
          throw error
        })
      } catch (cause) {
        const reason = signal.aborted ? `no answer within ${timeoutMs} ms` : messageOf(cause)
        throw new TempError('kgc/unreachable', `${url}: ${reason}`, { cause })
      }
    },
    close: () => agent.destroy(),
  }
}

class ConnectionError extends Error {
  readonly idle: boolean
  constructor(message: string, { cause, idle }: { cause: Error; idle: boolean }) {
    super(message, { cause })
    this.idle = idle
  }
}

function isStale(error: unknown): boolean {
  return error instanceof ConnectionError && error.idle && codeOf(error.cause) === 'ECONNRESET'
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error && 'code' in error ? error.code : undefined
}

async function readAnswer(answer: IncomingMessage): Promise<KgcReply> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of answer) {
    const bytes = piece as Buffer
    size += bytes.length
    if (size > ANSWER_MAX_BYTES) throw new Error(`an answer of more than ${ANSWER_MAX_BYTES} bytes`)
    pieces.push(bytes)
  }
  const all = Buffer.concat(pieces)
  const text = all.toString('utf8')
  for (const bytes of [all, ...pieces]) bytes.fill(0) // it may hold a key
  return { status: answer.statusCode ?? 0, text }
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : 'unknown cause'
}
