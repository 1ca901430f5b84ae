// A policy host of one domain that answers as it is told: the attacker's, or the owner's on a bad day.
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { Credentials } from './authority.ts'

export interface RoguePolicyHost {
  readonly address: string
  /** How often it was asked. */
  asked(): number
  close(): Promise<void>
}

export interface RoguePolicyHostOptions {
  readonly address: string
  readonly port: number
  readonly credentials: Credentials
  readonly answer: (response: ServerResponse, request: IncomingMessage) => void
}

export async function startRoguePolicyHost({
  address,
  port,
  credentials: { certificate, privateKey },
  answer,
}: RoguePolicyHostOptions): Promise<RoguePolicyHost> {
  let count = 0
  const server = createServer({ cert: certificate, key: privateKey }, (request, response) => {
    count += 1
    response.on('error', () => {})
    answer(response, request)
  })
  server.on('tlsClientError', () => {})
  server.listen(port, address)
  await once(server, 'listening')
  return {
    address,
    asked: () => count,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
