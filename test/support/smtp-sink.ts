// A receiving SMTP (or LMTP) server that keeps what came over the wire, to the byte.
import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'

export interface Delivery {
  readonly from: string
  readonly to: readonly string[]
  /** The message, dots undoubled, without the last line. */
  readonly message: Buffer
  /** Everything the client has sent on this connection up to here. */
  readonly wire: Buffer
}

export interface SmtpSink {
  readonly port: number
  readonly deliveries: readonly Delivery[]
  /** All bytes ever received, of all connections. */
  wire(): Buffer
  /** Resolves with the deliveries once there are that many; rejects after a bounded wait. */
  waitFor(count: number, timeoutMs?: number): Promise<readonly Delivery[]>
  clear(): void
  close(): Promise<void>
}

export interface SinkOptions {
  readonly host?: string
  readonly lmtp?: boolean
  /** The answer to a recipient, such as `550 no`; undefined: accepted. */
  readonly refuse?: (recipient: string) => string | undefined
}

export async function startSink({
  host = '127.0.0.1',
  lmtp = false,
  refuse = () => undefined,
}: SinkOptions = {}): Promise<SmtpSink> {
  const deliveries: Delivery[] = []
  const sockets = new Set<Socket>()
  const received: Buffer[] = []
  const waiting = new Set<() => void>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    const own: Buffer[] = []
    let pending = Buffer.alloc(0)
    let from = ''
    let to: string[] = []
    let data: Buffer[] | undefined
    const say = (text: string): void => void socket.write(`${text}\r\n`)
    const command = (line: string): void => {
      const verb = line.slice(0, 4).toUpperCase()
      if (verb === 'EHLO' || verb === 'LHLO')
        say('250-sink\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 100000000')
      else if (verb === 'HELO') say('250 sink')
      else if (verb === 'MAIL') {
        from = /<(.*)>/.exec(line)?.[1] ?? ''
        to = []
        say('250 ok')
      } else if (verb === 'RCPT') {
        const address = /<(.*)>/.exec(line)?.[1] ?? ''
        const refusal = refuse(address)
        if (!refusal) to.push(address)
        say(refusal ?? '250 ok')
      } else if (verb === 'DATA') {
        data = []
        say('354 go on')
      } else if (verb === 'QUIT') {
        say('221 bye')
        socket.end()
      } else say('250 ok')
    }
    const dataLine = (line: Buffer): void => {
      if (line.equals(Buffer.from('.\r\n'))) {
        deliveries.push({ from, to, message: Buffer.concat(data ?? []), wire: Buffer.concat(own) })
        data = undefined
        for (const _ of lmtp ? to : ['']) say('250 kept')
        for (const check of waiting) check()
      } else data?.push(line[0] === 0x2e ? line.subarray(1) : line)
    }
    socket.on('data', (piece) => {
      received.push(piece)
      own.push(piece)
      pending = Buffer.concat([pending, piece])
      let start = 0
      for (
        let at = pending.indexOf('\r\n', start);
        at !== -1;
        at = pending.indexOf('\r\n', start)
      ) {
        const line = pending.subarray(start, at + 2)
        start = at + 2
        if (data) dataLine(line)
        else command(line.toString('latin1').trimEnd())
      }
      pending = pending.subarray(start)
    })
    say('220 sink')
  })
  server.listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    deliveries,
    wire: () => Buffer.concat(received),
    waitFor: (count, timeoutMs = 20_000) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(check)
          reject(
            new Error(`${deliveries.length} of ${count} messages arrived within ${timeoutMs} ms`),
          )
        }, timeoutMs)
        const check = (): void => {
          if (deliveries.length < count) return
          clearTimeout(timer)
          waiting.delete(check)
          resolve(deliveries)
        }
        waiting.add(check)
        check()
      }),
    clear: () => {
      deliveries.length = 0
      received.length = 0
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
