// Listens in between two mail servers, as anybody on the way could.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

export interface Wiretap {
  readonly port: number
  /** Everything that went by, of both sides, and is then forgotten. */
  take(): string
  close(): Promise<void>
}

export async function startWiretap(toPort: number): Promise<Wiretap> {
  let heard = ''
  const sockets = new Set<{ destroy(): void }>()
  const server = createServer((client) => {
    const upstream = connect(toPort, '127.0.0.1')
    for (const [from, into] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('data', (piece) => {
        heard += piece.toString('latin1')
      })
      from.on('error', () => into.destroy())
      from.on('close', () => sockets.delete(from))
      from.pipe(into)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
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
  }
}
