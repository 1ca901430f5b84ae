// The sources of keys on the loopback: a DNS server whose AD bit can be set, web servers by name, files, and a directory
// that asks them.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { resolveAddresses } from '../../lib/dns/addresses.ts'
import { createResolver, type Resolver } from '../../lib/dns/resolver.ts'
import { createBytesClient } from '../../lib/http/fetch-bytes.ts'
import { createKeyDirectory, type KeyDirectory } from '../../lib/key-directory/directory.ts'
import { createOperatorKeys } from '../../lib/key-directory/operator.ts'
import type { KeyFormat } from '../../lib/mail/correspondent-keys.ts'
import { fakeClock, type FakeClock } from '../ibe/fake-clock.ts'
import { makeAuthority } from '../support/authority.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { toyFormat } from './toy-format.ts'

export interface Page {
  readonly status?: number
  readonly body?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

export interface KeyWorld {
  readonly dns: DnsServer
  readonly clock: FakeClock
  readonly log: string[]
  readonly folder: string
  /** By host and path without the query. */
  readonly pages: Record<string, Page>
  /** `host/path?query` of each request. */
  readonly requests: string[]
  readonly directory: KeyDirectory
  /** Another process with the same store, and a cache of its own. */
  another(): KeyDirectory
  /** Nothing is remembered, nothing is there. */
  reset(): void
  close(): Promise<void>
}

export interface KeyWorldOptions {
  readonly formats?: readonly KeyFormat[]
  readonly resolver?: Resolver
  /** Hosts that have a certificate. */
  readonly hosts?: readonly string[]
}

export async function startKeyWorld(options: KeyWorldOptions = {}): Promise<KeyWorld> {
  const { formats = [toyFormat('openpgp'), toyFormat('smime')], hosts = [] } = options
  const dns = await startDnsServer()
  const authority = makeAuthority()
  const pages: Record<string, Page> = {}
  const requests: string[] = []
  const credentials = new Map(hosts.map((host) => [host, authority.issue(host)]))
  const other = authority.issue('other.example')
  const web = createServer(
    {
      cert: other.certificate,
      key: other.privateKey,
      SNICallback: (name, done) => {
        const { certificate, privateKey } = credentials.get(name) ?? other
        done(null, createSecureContext({ cert: certificate, key: privateKey }))
      },
    },
    (request, response) => {
      const host = (request.headers.host ?? '').replace(/:\d+$/, '')
      requests.push(`${host}${request.url}`)
      const page = pages[`${host}${request.url?.replace(/\?.*$/, '')}`]
      const { status = page ? 200 : 404, body = new Uint8Array(), headers = {} } = page ?? {}
      response.writeHead(status, headers).end(body)
    },
  )
  web.on('tlsClientError', () => {})
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const server = { address: dns.address, port: dns.port, trusted: true }
  const resolver =
    options.resolver ?? createResolver({ servers: [server], timeoutMs: 500, tries: 3 })
  const folder = mkdtempSync(join(tmpdir(), 'hisho-keys-'))
  const clock = fakeClock()
  const log: string[] = []
  let store = createMemoryCache({ clock, maxEntries: 1000 })
  const open = (): KeyDirectory =>
    createKeyDirectory({
      formats,
      operator: createOperatorKeys({
        directory: folder,
        clock,
        normalizeName: (name) => name.toLowerCase(),
        log: (level, message) => log.push(`${level} ${message}`),
      }),
      resolver,
      fetchBytes: createBytesClient({
        addressesOf: (host, signal) => resolveAddresses(resolver, host, signal),
        timeoutMs: 5000,
        ca: authority.certificate,
        port: portOf(web),
        maxBytes: 4096,
      }),
      cache: createMemoryCache({ clock, maxEntries: 1000 }),
      store,
      clock,
      ttl: { floorSeconds: 60, ceilingSeconds: 3600 },
      mayHarvest: () => true,
      log: (level, message) => log.push(`${level} ${message}`),
    })
  let directory = open()
  return {
    dns,
    clock,
    log,
    folder,
    pages,
    requests,
    get directory() {
      return directory
    },
    another: open,
    reset() {
      for (const name of Object.keys(dns.zone)) delete dns.zone[name]
      for (const name of Object.keys(pages)) delete pages[name]
      for (const list of [requests, log, dns.queries]) list.length = 0
      rmSync(folder, { recursive: true })
      mkdirSync(folder)
      store = createMemoryCache({ clock, maxEntries: 1000 })
      directory = open()
    },
    async close() {
      web.close()
      web.closeAllConnections()
      await dns.close()
      authority.close()
      rmSync(folder, { recursive: true })
    },
  }
}

function portOf(server: Server): number {
  const place = server.address()
  assert.ok(typeof place === 'object' && place)
  return place.port
}
