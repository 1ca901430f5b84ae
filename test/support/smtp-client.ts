// A mail client that sends exactly the bytes it is given.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Submission {
  readonly port: number
  readonly host?: string
  readonly from: string
  readonly to: readonly string[]
  readonly message: Uint8Array
  /** AUTH PLAIN with these. */
  readonly user?: string
  readonly password?: string
  /** STARTTLS, whoever answers. */
  readonly secure?: true
  /** Of MAIL, such as `REQUIRETLS`. */
  readonly parameters?: string
}

export interface Reply {
  readonly code: number
  readonly text: string
}

/** The answer to the message, or to the first command that was refused. */
export async function submit(submission: Submission): Promise<Reply> {
  const session = await openSession(submission.port, submission.host)
  try {
    const { from, to, user, password, secure, parameters } = submission
    if (secure) await session.secure()
    const commands = [
      'EHLO client.test',
      ...(user === undefined
        ? []
        : [`AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString('base64')}`]),
      `MAIL FROM:<${from}>${parameters === undefined ? '' : ` ${parameters}`}`,
      ...to.map((address) => `RCPT TO:<${address}>`),
      'DATA',
    ]
    for (const command of commands) {
      const reply = await session.command(command)
      if (reply.code >= 400) return reply
    }
    return await session.data(submission.message)
  } finally {
    session.close()
  }
}

export interface Session {
  command(line: string): Promise<Reply>
  /** Sends the message with dots doubled and waits for the answer. */
  data(message: Uint8Array): Promise<Reply>
  readonly socket: Socket
  /** EHLO and STARTTLS. */
  secure(): Promise<void>
  close(): void
}

const CLOSED: Reply = { code: 421, text: 'connection closed' }
const GREETING_MS = 10_000

export async function openSession(port: number, host = '127.0.0.1'): Promise<Session> {
  const plain = connect(port, host)
  let socket: Socket = plain
  // A process that dies may leave its connections open and silent.
  socket.setTimeout(30_000, () => socket.destroy())
  await once(socket, 'connect')
  let replies = readReplies(socket)
  const read = async (): Promise<Reply> => {
    const next = await replies.next()
    return next.done ? CLOSED : next.value
  }
  const silent = setTimeout(() => socket.destroy(), GREETING_MS)
  const greeting = await read()
  clearTimeout(silent)
  if (greeting.code === CLOSED.code && greeting.text === CLOSED.text)
    throw new Error('the server has not greeted') // a worker that is about to end has taken the connection
  return {
    socket: plain,
    secure: async () => {
      for (const command of ['EHLO client.test', 'STARTTLS']) {
        plain.write(`${command}\r\n`)
        await read()
      }
      socket = connectTls({ socket: plain, rejectUnauthorized: false })
      await once(socket, 'secureConnect')
      replies = readReplies(socket)
    },
    command: async (line) => {
      socket.write(`${line}\r\n`)
      return read()
    },
    data: async (message) => {
      const text = Buffer.from(message)
        .toString('latin1')
        .replaceAll(/(^|\r\n)\./g, '$1..')
      socket.write(Buffer.from(text, 'latin1'))
      socket.write(text.endsWith('\r\n') || text === '' ? '.\r\n' : '\r\n.\r\n')
      return read()
    },
    close: () => socket.destroy(),
  }
}

async function* readReplies(socket: Socket): AsyncGenerator<Reply> {
  let pending = ''
  try {
    for await (const piece of socket) {
      pending += (piece as Buffer).toString('latin1')
      for (
        let match = /^(?:\d{3}-.*\r\n)*(\d{3})(?: .*)?\r\n/.exec(pending);
        match;
        match = /^(?:\d{3}-.*\r\n)*(\d{3})(?: .*)?\r\n/.exec(pending)
      ) {
        pending = pending.slice(match[0].length)
        yield { code: Number(match[1]), text: match[0].trim() }
      }
    }
  } catch {
    // reset by the other side: no more answers
  }
}
