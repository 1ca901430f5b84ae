// Sits before a mail server, at the address that senders know, and passes on what goes by: whole, or without the offer of TLS.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface ManInTheMiddle {
  readonly address: string
  readonly port: number
  /** Whether the offer of STARTTLS is taken out of what the server says. */
  stripsTls: boolean
  /** Every byte that went by, of both sides. */
  wire(): string
  forget(): void
  close(): Promise<void>
}

export interface ManInTheMiddleOptions {
  readonly address?: string
  readonly port?: number
  readonly server: { readonly address: string; readonly port: number }
}

export async function startManInTheMiddle({
  address = '127.0.0.1',
  port = 0,
  server: behind,
}: ManInTheMiddleOptions): Promise<ManInTheMiddle> {
  let heard: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(behind.port, behind.address)
    for (const [from, into] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('data', (piece) => {
        const said = piece.toString('latin1')
        const isStripped = man.stripsTls && from === upstream
        const passed = isStripped ? withoutOffer(said) : said
        heard.push(passed)
        into.write(Buffer.from(passed, 'latin1'))
      })
      from.on('error', () => into.destroy())
      from.on('end', () => into.end())
      from.on('close', () => {
        sockets.delete(from)
        into.destroy()
      })
    }
  })
  server.listen(port, address)
  await once(server, 'listening')
  const bound = server.address()
  const man: ManInTheMiddle = {
    address,
    port: typeof bound === 'object' && bound ? bound.port : port,
    stripsTls: false,
    wire: () => heard.join(''),
    forget: () => {
      heard = []
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return man
}

/** Wherever it stands in the answer to EHLO. */
function withoutOffer(said: string): string {
  return said.replace('250-STARTTLS\r\n', '').replace(/250-([^\r]*\r\n)250 STARTTLS\r\n/, '250 $1')
}
