// How a user reads mail, to the byte: POP3 (RFC 1939) and IMAP (RFC 3501), as much of them as that takes.
import { once } from 'node:events'
import { connect } from 'node:net'

export interface Lines {
  write(line: string): void
  /** Without its CRLF, as latin1. Rejects after a bounded wait, and when the server hangs up. */
  readLine(): Promise<string>
  readBytes(count: number): Promise<Buffer>
  close(): void
}

const TIMEOUT_MS = 20_000

export async function connectLines(port: number, host = '127.0.0.1'): Promise<Lines> {
  const socket = connect(port, host)
  await once(socket, 'connect')
  socket.on('error', () => {})
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
  const pieces: AsyncIterator<Buffer> = socket[Symbol.asyncIterator]()
  let pending = Buffer.alloc(0)
  const more = async (): Promise<void> => {
    const next = await pieces.next()
    if (next.done) throw new Error('the server closed the connection, or was silent')
    pending = Buffer.concat([pending, next.value])
  }
  const take = (count: number, skip = 0): Buffer => {
    const taken = pending.subarray(0, count)
    pending = pending.subarray(count + skip)
    return taken
  }
  return {
    write: (line) => void socket.write(`${line}\r\n`),
    readLine: async () => {
      while (!pending.includes('\r\n')) await more()
      return take(pending.indexOf('\r\n'), 2).toString('latin1')
    },
    readBytes: async (count) => {
      while (pending.length < count) await more()
      return take(count)
    },
    close: () => socket.destroy(),
  }
}

export interface Account {
  readonly port: number
  readonly user: string
  readonly password: string
}

/** All messages of the mailbox; they stay there. */
export async function readByPop3({ port, user, password }: Account): Promise<Buffer[]> {
  const lines = await connectLines(port)
  const expectOk = async (): Promise<string> => {
    const line = await lines.readLine()
    if (!line.startsWith('+OK')) throw new Error(`POP3: ${line}`)
    return line
  }
  const command = async (text: string): Promise<string> => {
    lines.write(text)
    return expectOk()
  }
  try {
    await expectOk()
    await command(`USER ${user}`)
    await command(`PASS ${password}`)
    const count = Number(/^\+OK (\d+)/.exec(await command('STAT'))?.[1])
    const messages: Buffer[] = []
    for (let at = 1; at <= count; at++) {
      await command(`RETR ${at}`)
      const text: string[] = []
      for (let line = await lines.readLine(); line !== '.'; line = await lines.readLine())
        text.push(`${line.startsWith('.') ? line.slice(1) : line}\r\n`)
      messages.push(Buffer.from(text.join(''), 'latin1'))
    }
    await command('QUIT')
    return messages
  } finally {
    lines.close()
  }
}

/** All messages of INBOX, which stay unread. */
export async function readByImap({ port, user, password }: Account): Promise<Buffer[]> {
  const lines = await connectLines(port)
  const messages: Buffer[] = []
  const command = async (tag: string, text: string): Promise<void> => {
    lines.write(`${tag} ${text}`)
    for (;;) {
      const line = await lines.readLine()
      const literal = /^\* \d+ FETCH .*\{(\d+)\}$/.exec(line)
      if (literal) messages.push(await lines.readBytes(Number(literal[1])))
      else if (line.startsWith(`${tag} OK`)) return
      else if (line.startsWith(`${tag} `)) throw new Error(`IMAP: ${line}`)
    }
  }
  try {
    await lines.readLine()
    await command('a1', `LOGIN "${user}" "${password}"`)
    await command('a2', 'SELECT INBOX')
    await command('a3', 'UID FETCH 1:* BODY.PEEK[]')
    await command('a4', 'LOGOUT')
    return messages
  } finally {
    lines.close()
  }
}

/** What `read` gives, once there are that many messages; rejects after a bounded wait. */
export async function waitForMessages(
  read: () => Promise<Buffer[]>,
  count: number,
): Promise<Buffer[]> {
  const end = Date.now() + TIMEOUT_MS
  for (;;) {
    const messages = await read()
    if (messages.length >= count) return messages
    if (Date.now() > end) throw new Error(`${messages.length} of ${count} messages arrived`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
