// Listens in between two mail servers, as anybody on the way could, and takes away the offer of TLS.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

export interface Wiretap {
  readonly port: number
  /** Whether the offer of STARTTLS is taken out of what the server says. */
  stripsTls: boolean
  /** Everything that went by, of both sides, and is then forgotten. */
  take(): string
  close(): Promise<void>
}

export async function startWiretap(toPort: number): Promise<Wiretap> {
  let heard = ''
  const wiretap = { stripsTls: true }
  const sockets = new Set<{ destroy(): void }>()
  const server = createServer((client) => {
    const upstream = connect(toPort, '127.0.0.1')
    for (const [from, into] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('data', (piece) => {
        const said = piece.toString('latin1')
        const isStripped = wiretap.stripsTls && from === upstream
        const passed = isStripped ? said.replace('250-STARTTLS\r\n', '') : said
        heard += passed
        into.write(Buffer.from(passed, 'latin1'))
      })
      from.on('error', () => into.destroy())
      from.on('end', () => into.end())
      from.on('close', () => sockets.delete(from))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return Object.assign(wiretap, {
    port: typeof address === 'object' && address ? address.port : 0,
    take: () => {
      const all = heard
      heard = ''
      return all
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  })
}
