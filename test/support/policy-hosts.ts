// HTTPS servers of MTA-STS policies on the loopback, one socket for all domains.
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Authority } from './authority.ts'
import type { Zone } from './dns-server.ts'

export interface PolicyHosts {
  readonly port: number
  /** Domains whose policy was asked for. */
  readonly asked: string[]
  /** Serves the policy, and puts record and address into the zone. */
  publish(domain: string, policy: PublishedPolicy): void
  close(): Promise<void>
}

export interface PublishedPolicy {
  readonly mode: 'enforce' | 'testing' | 'none'
  readonly mx: readonly string[]
  readonly id?: string
}

export async function startPolicyHosts(authority: Authority, zone: Zone): Promise<PolicyHosts> {
  const texts = new Map<string, string>()
  const asked: string[] = []
  const server = createServer({}, ({ headers, url }, response) => {
    const domain = /^mta-sts\.([^:]+)/.exec(headers.host ?? '')?.[1] ?? ''
    const text = url === '/.well-known/mta-sts.txt' ? texts.get(domain) : undefined
    asked.push(domain)
    if (text === undefined) return void response.writeHead(404).end()
    response.writeHead(200, { 'content-type': 'text/plain' }).end(text)
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  let serial = 0
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    publish(domain, { mode, mx, id }) {
      const host = `mta-sts.${domain}`
      if (!texts.has(domain)) {
        const { certificate, privateKey } = authority.issue(host)
        server.addContext(host, { cert: certificate, key: privateKey })
      }
      const patterns = mx.map((pattern) => `mx: ${pattern}\r\n`).join('')
      texts.set(domain, `version: STSv1\r\nmode: ${mode}\r\n${patterns}max_age: 604800\r\n`)
      serial += 1
      zone[`_mta-sts.${domain}`] = { TXT: [`v=STSv1; id=${id ?? `n${serial}`};`], ttl: 0 }
      zone[host] = { A: ['127.0.0.1'], ttl: 0 }
    },
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
