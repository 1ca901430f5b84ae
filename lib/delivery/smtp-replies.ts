// The answers of an SMTP server, one after another: RFC 5321 section 4.2. For who only looks and sends no mail.
import type { Socket } from 'node:net'

export interface SmtpReply {
  /** Three digits. */
  readonly code: string
  /** What follows the code, of each line. */
  readonly lines: readonly string[]
  /** Whether the server has said more than this by now. */
  readonly isFollowed: boolean
}

export interface SmtpReplies {
  /** Sends a command, if there is one, and waits. Rejects when the connection ends or says what is no SMTP. */
  next(command?: string): Promise<SmtpReply>
  /** Leaves the socket to somebody else. */
  detach(): void
}

interface Waiting {
  readonly resolve: (reply: SmtpReply) => void
  readonly reject: (error: Error) => void
}

const MAX_CHARACTERS = 65_536
const LINE = /^([2-5]\d\d)(?:([ -])(.*))?$/

export function createSmtpReplies(socket: Socket): SmtpReplies {
  let pending = ''
  let failure: Error | undefined
  let waiting: Waiting | undefined

  const look = (): void => {
    if (!waiting) return
    const found = failure ?? takeReply(pending)
    if (found === undefined) return
    const { resolve, reject } = waiting
    waiting = undefined
    if (found instanceof Error) return reject(found)
    pending = found.rest
    resolve({ ...found.reply, isFollowed: pending !== '' })
  }
  const fail = (error: Error): void => {
    failure ??= error
    look()
  }
  const onData = (piece: Buffer): void => {
    pending += piece.toString('latin1')
    if (pending.length > MAX_CHARACTERS) fail(new Error('it says more than any server has to'))
    look()
  }
  const onClose = (): void => fail(new Error('it hangs up'))
  socket.on('data', onData)
  socket.on('close', onClose)
  socket.on('error', fail)
  return {
    next: (command) =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        if (command !== undefined && !failure) socket.write(`${command}\r\n`)
        look()
      }),
    detach: () => {
      socket.off('data', onData)
      socket.off('close', onClose)
      socket.off('error', fail)
    },
  }
}

function takeReply(
  text: string,
): { readonly reply: Omit<SmtpReply, 'isFollowed'>; readonly rest: string } | Error | undefined {
  const lines: string[] = []
  for (let at = 0; ;) {
    const end = text.indexOf('\n', at)
    if (end === -1) return undefined
    const [, code, separator, words = ''] = LINE.exec(text.slice(at, end).replace(/\r$/, '')) ?? []
    if (code === undefined) return new Error('what it says is no SMTP')
    lines.push(words)
    at = end + 1
    if (separator !== '-') return { reply: { code, lines }, rest: text.slice(at) }
  }
}
