// Haraka's connection to a server, watched until it is settled how mail goes to it: RFC 3207. Until then every byte in both
// directions passes here. Afterwards the connection is as if nobody had been there.
import { connect, type ConnectionOptions, type SecureVersion, type TLSSocket } from 'node:tls'
import type { Handshake } from '../delivery/judge.ts'
import { peerChain, type PeerChainExtent } from '../x509/peer-chain.ts'
import { createDialogue, type DialogueOptions, type Ending } from './dialogue.ts'
import type { OutboundSocket, Upgraded } from './outbound.ts'
import type { ContextFor } from './tls-contexts.ts'

export type DoneHandshake = Extract<Handshake, { status: 'done' }>

export interface Watch {
  readonly dialogue: DialogueOptions
  readonly tls: TlsWishes
  /** The handshake is done. A text: why mail may not go over it. */
  judge(handshake: DoneHandshake): string | undefined
  /** Mail may go, over TLS. */
  opened(): void
  /** Mail may go, in clear. `lacks`: what keeps the server from TLS. */
  clear(lacks: string | undefined): void
  /** It may not, here. Called before Haraka hears of it and goes to the next host. */
  ended(ending: Ending | { readonly cause: 'judge'; readonly reason: string }): void
  /** Haraka gave the connection up by itself. */
  released(): void
  /** What the server calls itself in its greeting. */
  greeted(name: string): void
}

export interface TlsWishes {
  readonly servername: string | undefined
  readonly ca: string | undefined
  readonly minVersion: SecureVersion | undefined
  readonly clientCertificate: Pick<ConnectionOptions, 'key' | 'cert'>
  /** How much of the server's chain the judge wants to see. */
  readonly chain: PeerChainExtent
  readonly contextFor: ContextFor
}

/** More than any server has to say up to here, and longer than RFC 5321 section 4.5.3.2 lets it take for a line. */
const MAX_CLEAR_BYTES = 65_536
const MAX_MS = 300_000
/** RFC 5321 section 4.2. */
const GREETING = /^220[ -]([\x21-\x7e]+)/

export function watchSocket(socket: OutboundSocket, watch: Watch): void {
  const dialogue = createDialogue(watch.dialogue)
  const own = { write: socket.write, emit: socket.emit, destroy: socket.destroy }
  const emit = (event: string, ...values: unknown[]): boolean =>
    own.emit.call(socket, event, ...values)
  let pending: Buffer = Buffer.alloc(0)
  let received = 0
  let isGreeted = false
  let over = false

  const end = (ending: Parameters<Watch['ended']>[0]): void => {
    if (over) return
    over = true
    clearTimeout(timer)
    watch.ended(ending)
    // Without `source`: Haraka would take `tls` for a reason to speak no more TLS with this host, for a week.
    if (socket.listenerCount('error') > 0) emit('error', new Error(ending.reason))
    else own.destroy.call(socket)
  }
  const timer = setTimeout(() => end(dialogue.lost('it takes too long')), MAX_MS)

  /** What the server has said beyond. All that is left to watch for is MAIL, to which REQUIRETLS is added. */
  const letGo = (): Buffer => {
    over = true
    clearTimeout(timer)
    const rest = pending
    pending = Buffer.alloc(0)
    Reflect.deleteProperty(socket, 'emit')
    Reflect.deleteProperty(socket, 'destroy')
    if (watch.dialogue.requireTls) addRequireTls(socket, own.write)
    else Reflect.deleteProperty(socket, 'write')
    return rest
  }

  const readLine = (bytes: Buffer, more: boolean): void => {
    const line = bytes.toString('utf8')
    if (!isGreeted) {
      isGreeted = true
      const [, name] = GREETING.exec(line) ?? []
      if (name !== undefined) watch.greeted(name)
    }
    const step = dialogue.read(line, more)
    if (step.kind === 'end') return end(step.ending)
    if (step.kind === 'open') watch.opened()
    if (step.kind === 'clear') watch.clear(step.lacks)
    // First: Haraka's next command follows at once.
    const rest = step.kind === 'pass' ? undefined : letGo()
    emit('data', step.line === line ? bytes : Buffer.from(step.line))
    if (rest && rest.length > 0) emit('data', rest)
  }

  const read = (piece: Buffer): void => {
    pending = Buffer.concat([pending, piece])
    received += piece.length
    if (received > MAX_CLEAR_BYTES) return end(dialogue.lost('it says too much'))
    for (;;) {
      const at = pending.indexOf('\n')
      if (at === -1 || over) return
      const line = pending.subarray(0, at + 1)
      pending = pending.subarray(at + 1)
      readLine(line, pending.length > 0)
    }
  }

  socket.emit = (event: string | symbol, ...values: unknown[]): boolean => {
    if (over) return false
    switch (event) {
      case 'data':
        read(values[0] as Buffer)
        return true
      case 'error':
        end(dialogue.lost(errorText(values[0])))
        return true
      case 'close':
        end(dialogue.lost('it closed the connection'))
        return true
      default:
        return own.emit.call(socket, event, ...values)
    }
  }

  socket.write = (data, ...rest): boolean => {
    if (over) return false
    const command = typeof data === 'string' ? data : ''
    const answer = dialogue.write(command)
    if (answer === 'blocked') {
      end({ cause: 'server', reason: 'Haraka was about to send mail without the TLS it needs' })
      return false
    }
    if (answer === 'pass') return own.write.call(socket, data, ...rest)
    watch.clear(undefined)
    const unread = letGo()
    const isTaken = own.write.call(socket, data, ...rest)
    if (unread.length > 0) emit('data', unread)
    return isTaken
  }

  socket.destroy = (): unknown => {
    if (!over) {
      over = true
      clearTimeout(timer)
      watch.released()
    }
    return own.destroy.call(socket)
  }

  socket.upgrade = (options: object, done: Upgraded): void => {
    try {
      const cleartext = startTls(socket, options, watch.tls)
      cleartext.on('error', (error) => end(dialogue.lost(errorText(error))))
      // Before Haraka's own listeners, which `attach` adds: what they say is swallowed after a bad handshake.
      cleartext.once('secureConnect', () => {
        const chain = peerChain(cleartext, watch.tls.chain)
        const reason = watch.judge(handshakeOf(cleartext, chain))
        if (reason !== undefined) return end({ cause: 'judge', reason })
        dialogue.secure()
        const error = cleartext.authorizationError
        // Haraka sends MAIL over nothing that is not authorized; whether it is, was judged here.
        cleartext.authorized = true
        const cipher = { ...cleartext.getCipher(), version: cleartext.getProtocol() }
        done(true, error, certificateForLog(cleartext), cipher)
      })
      socket.attach(cleartext)
    } catch (error) {
      end(dialogue.lost(errorText(error)))
    }
  }
}

function startTls(socket: OutboundSocket, options: object, wishes: TlsWishes): TLSSocket {
  const plain = socket.targetsocket
  socket.clean()
  plain.removeAllListeners('data')
  plain.on('error', () => {}) // said by the TLS socket too
  const { servername, ca, minVersion } = wishes
  const { servername: _, ...given }: ConnectionOptions = { ...options, ...wishes.clientCertificate }
  // An operator may ask for more than we do.
  const least = given.minVersion === 'TLSv1.3' ? given.minVersion : (minVersion ?? given.minVersion)
  const settings = { ...given, ca, ...(least && { minVersion: least }) }
  const cleartext = connect({
    ...settings,
    secureContext: wishes.contextFor(settings),
    socket: plain,
    // Judged by us, when everything is known: RFC 7672 has rules of its own.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    // No session of another policy is taken up again: what was proven there is not proven here.
    session: undefined,
    servername,
  })
  socket.cleartext = cleartext
  if (socket._timeout) cleartext.setTimeout(socket._timeout)
  cleartext.setKeepAlive(socket._keepalive)
  return cleartext
}

function handshakeOf(cleartext: TLSSocket, chain: readonly Uint8Array[]): DoneHandshake {
  // @types/node has an Error here; what Node sets is OpenSSL's code.
  const error: unknown = cleartext.authorizationError
  const chainError = error ? errorText(error) : undefined
  return { status: 'done', chain, chainError }
}

/** As Haraka logs it. */
function certificateForLog(cleartext: TLSSocket): object {
  return cleartext.getPeerX509Certificate()?.toLegacyObject() ?? {}
}

/** RFC 8689 section 4.2: the promise goes on to the next server. */
function addRequireTls(socket: OutboundSocket, write: OutboundSocket['write']): void {
  socket.write = (data, ...rest): boolean => {
    if (typeof data !== 'string' || !/^MAIL FROM:/i.test(data))
      return write.call(socket, data, ...rest)
    Reflect.deleteProperty(socket, 'write')
    return write.call(socket, data.replace(/\r\n$/, ' REQUIRETLS\r\n'), ...rest)
  }
}

function errorText(error: unknown): string {
  const text =
    error instanceof Error ? error.message : typeof error === 'string' ? error : 'unknown'
  // OpenSSL's texts carry addresses of memory and files of its source.
  const [, plain] = /^[0-9A-F]+:error:[0-9A-F]+:SSL routines:[^:]*:([^:]+):/.exec(text) ?? []
  return plain ?? text
}
