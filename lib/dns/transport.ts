// One question to one server, over UDP and over TCP (RFC 1035 section 4.2, RFC 7766).
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { TempError } from '../errors.ts'
import type { DnsServer } from './servers.ts'

/** Room for one message and a stray one before it. */
const TCP_MAX_BYTES = 2 * (2 + 65_535)

/** Reads a message: a result ends the exchange, `undefined` lets it wait for the next one, a throw ends it too. */
export type Accept<T> = (message: Uint8Array) => T | undefined

export type Exchange = <T>(
  server: DnsServer,
  query: Uint8Array,
  accept: Accept<T>,
  signal: AbortSignal,
) => Promise<T>

/**
 * A new socket for each query, so each has its own random port (RFC 5452 section 9.2), and connected, so that the
 * kernel drops what others send.
 */
export const exchangeUdp: Exchange = (server, query, accept, signal) =>
  new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4')
    const ending = createEnding(signal, reject, () => socket.close())
    socket.on('error', (cause) => ending.finish(() => reject(unreachable(cause))))
    socket.on('message', (message) => {
      attempt(accept, message, (outcome) => ending.finish(() => outcome.then(resolve, reject)))
    })
    socket.connect(server.port, server.address, () => {
      if (ending.isOpen()) socket.send(query)
    })
  })

/** A message with two bytes of length before it, which may come in any number of pieces. */
export const exchangeTcp: Exchange = (server, query, accept, signal) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: server.address, port: server.port })
    const ending = createEnding(signal, reject, () => socket.destroy())
    const fail = (what: string): void =>
      ending.finish(() => reject(new TempError('dns/malformed', what)))
    let received = Buffer.alloc(0)
    let receivedBytes = 0
    socket.on('error', (cause) => ending.finish(() => reject(unreachable(cause))))
    socket.once('close', () => fail('closed the connection early'))
    socket.on('data', (piece) => {
      receivedBytes += piece.length
      if (receivedBytes > TCP_MAX_BYTES) return fail('sent too much')
      received = Buffer.concat([received, piece])
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const message = received.subarray(2, 2 + received.readUInt16BE(0))
        received = received.subarray(2 + message.length)
        const settled = attempt(accept, message, (outcome) =>
          ending.finish(() => outcome.then(resolve, reject)),
        )
        if (settled) return
      }
    })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    socket.write(Buffer.concat([length, query])) // in one piece: RFC 7766 section 8
  })

interface Ending {
  /** Releases the socket and settles, the first time; later calls do nothing. */
  finish(settle: () => void): void
  isOpen(): boolean
}

function createEnding(
  signal: AbortSignal,
  reject: (reason: unknown) => void,
  release: () => void,
): Ending {
  let open = true
  const finish = (settle: () => void): void => {
    if (!open) return
    open = false
    signal.removeEventListener('abort', onAbort)
    release()
    settle()
  }
  const onAbort = (): void => finish(() => reject(signal.reason))
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  return { finish, isOpen: () => open }
}

/** Whether the message ended the exchange. */
function attempt<T>(
  accept: Accept<T>,
  message: Uint8Array,
  settle: (outcome: Promise<T>) => void,
): boolean {
  try {
    const result = accept(message)
    if (result === undefined) return false
    settle(Promise.resolve(result))
  } catch (error) {
    settle(Promise.reject(error))
  }
  return true
}

function unreachable(cause: unknown): TempError {
  return new TempError('dns/timeout', 'not reachable', { cause })
}
