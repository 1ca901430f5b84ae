// A look at a mail server's TLS without sending mail: RFC 3207, up to the EHLO within TLS.
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { peerChain } from '../x509/peer-chain.ts'
import type { Handshake } from './judge.ts'
import { createSmtpReplies, type SmtpReplies, type SmtpReply } from './smtp-replies.ts'

export interface ProbeTarget {
  /** An IP address. */
  readonly address: string
  readonly port: number
  /** For SNI. */
  readonly servername: string | undefined
  /** What we call ourselves. */
  readonly helo: string
  /** PEM, in place of the authorities that Node knows. */
  readonly ca?: string
  /** For all of it. */
  readonly timeoutMs: number
}

export type ProbeOutcome =
  /** No connection, or a server that wants nothing to do with us: nothing that TLS had a part in. */
  | { readonly status: 'unreached'; readonly reason: string }
  | {
      readonly status: 'answered'
      /** The keywords of its EHLO in clear. */
      readonly offers: readonly string[]
      readonly handshake: Handshake
      /** undefined: the handshake failed. */
      readonly session: TlsSession | undefined
    }

export interface TlsSession {
  /** `TLSv1.3` */
  readonly protocol: string
  readonly cipher: string
  /** The keywords of its EHLO within TLS. */
  readonly offers: readonly string[]
  /** RFC 8689 section 2. */
  readonly offersRequireTls: boolean
}

/** Rejects with the signal's reason alone. */
export async function probeServer(
  target: ProbeTarget,
  signal?: AbortSignal,
): Promise<ProbeOutcome> {
  signal?.throwIfAborted()
  const socket = connect({ host: target.address, port: target.port })
  const timer = setTimeout(() => socket.destroy(new Error('it takes too long')), target.timeoutMs)
  const onAbort = (): void => void socket.destroy()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    const outcome = await converse(socket, target)
    signal?.throwIfAborted()
    return outcome
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    socket.on('error', () => {}).destroy()
  }
}

async function converse(socket: Socket, target: ProbeTarget): Promise<ProbeOutcome> {
  const replies = createSmtpReplies(socket)
  let offers: readonly string[] = []
  let isAsked = false
  try {
    const greeting = await replies.next()
    if (!greeting.code.startsWith('2')) return unreached(`it greets with ${wordsOf(greeting)}`)
    const hello = await replies.next(`EHLO ${target.helo}`)
    if (!hello.code.startsWith('2'))
      return without(replies, [], `it refuses EHLO (${wordsOf(hello)})`)
    offers = keywordsOf(hello)
    if (!offers.includes('STARTTLS')) return without(replies, offers, 'it does not offer STARTTLS')
    isAsked = true
    const answer = await replies.next('STARTTLS')
    if (/^[45]/.test(answer.code))
      return without(replies, offers, `it refuses STARTTLS (${wordsOf(answer)})`)
    if (answer.code !== '220') return invalid(offers, `it answers STARTTLS with ${wordsOf(answer)}`)
    // Such words could be anybody's, read as if they had come over TLS.
    if (answer.isFollowed)
      return invalid(offers, 'it said more in clear after its answer to STARTTLS')
  } catch (error) {
    return isAsked ? invalid(offers, reasonOf(error)) : unreached(reasonOf(error))
  }
  replies.detach()
  return shakeHands(socket, offers, target)
}

async function shakeHands(
  socket: Socket,
  offers: readonly string[],
  target: ProbeTarget,
): Promise<ProbeOutcome> {
  const { servername, ca } = target
  const secured = connectTls({
    socket,
    // RFC 6066 section 3: a name, never an address.
    ...(servername !== undefined && isIP(servername) === 0 && { servername }),
    ...(ca !== undefined && { ca }),
    // Whoever it is, we look; the judge says what it is worth.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    minVersion: 'TLSv1.2', // RFC 8996
  })
  try {
    await whenSecure(secured, socket)
    const replies = createSmtpReplies(secured)
    const hello = await replies.next(`EHLO ${target.helo}`)
    secured.write('QUIT\r\n')
    const within = keywordsOf(hello)
    return {
      status: 'answered',
      offers,
      handshake: {
        status: 'done',
        chain: peerChain(secured, 'all'),
        chainError: chainErrorOf(secured),
      },
      session: {
        protocol: secured.getProtocol() ?? '',
        cipher: secured.getCipher().standardName,
        offers: within,
        offersRequireTls: within.includes('REQUIRETLS'),
      },
    }
  } catch (error) {
    return invalid(offers, reasonOf(error))
  } finally {
    secured.on('error', () => {}).destroy()
  }
}

function whenSecure(secured: TLSSocket, socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    secured.once('secureConnect', resolve)
    secured.once('error', reject)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('it hangs up')))
  })
}

/** The code, which Node's types do not know of. */
function chainErrorOf({ authorizationError }: TLSSocket): string | undefined {
  const error: unknown = authorizationError
  if (error instanceof Error) return reasonOf(error)
  return typeof error === 'string' ? error : undefined
}

function keywordsOf({ lines }: SmtpReply): readonly string[] {
  return lines.slice(1).map((line) => (line.split(' ', 1)[0] ?? '').toUpperCase())
}

function wordsOf({ code, lines }: SmtpReply): string {
  return `${code} ${lines.at(-1) ?? ''}`.replaceAll(/[^ -~]/g, '?').trim()
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown cause'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}

function unreached(reason: string): ProbeOutcome {
  return { status: 'unreached', reason }
}

/** Without TLS there is nothing more to see. */
function without(replies: SmtpReplies, offers: readonly string[], reason: string): ProbeOutcome {
  replies.next('QUIT').catch(() => {})
  const handshake = { status: 'failed', resultType: 'starttls-not-supported', reason } as const
  return { status: 'answered', offers, handshake, session: undefined }
}

function invalid(offers: readonly string[], reason: string): ProbeOutcome {
  const handshake = { status: 'failed', resultType: 'validation-failure', reason } as const
  return { status: 'answered', offers, handshake, session: undefined }
}
