// The web server of mta-sts.d.example: one file, over HTTPS.
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { Credentials } from '../test/support/authority.ts'

export async function startPolicyHost(
  { certificate, privateKey }: Credentials,
  policy: string,
): Promise<{ readonly port: number; close(): void }> {
  const server = createServer({ cert: certificate, key: privateKey }, (request, response) => {
    const isPolicy = request.url === '/.well-known/mta-sts.txt'
    response.writeHead(isPolicy ? 200 : 404, { 'Content-Type': 'text/plain' })
    response.end(isPolicy ? policy : 'not found')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
