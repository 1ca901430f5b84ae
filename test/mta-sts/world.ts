// DNS, policy hosts over HTTPS, a clock and a store: all that a finder of policies depends on.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { TestContext } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { SharedCache } from '../../lib/cache/cache.ts'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { resolveAddresses } from '../../lib/dns/addresses.ts'
import { createResolver, type Resolver } from '../../lib/dns/resolver.ts'
import { TempError } from '../../lib/errors.ts'
import { createTextClient, type TextClientOptions } from '../../lib/http/fetch-text.ts'
import { createPolicyFetcher, type FetchPolicy } from '../../lib/mta-sts/fetch.ts'
import {
  createPolicyFinder,
  type KeepingPolicyFinder,
  type PolicyFinderOptions,
} from '../../lib/mta-sts/finder.ts'
import { createTestClock, type TestClock } from '../cache/contract.ts'
import { makeAuthority, type Authority, type Credentials } from '../support/authority.ts'
import { startDnsServer, type DnsServer, type ZoneEntry } from '../support/dns-server.ts'

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

export interface Asked {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly host: string
  /** SNI. */
  readonly serverName: string | undefined
  readonly headers: IncomingMessage['headers']
}

export interface World {
  readonly dns: DnsServer
  readonly resolver: Resolver
  readonly clock: TestClock
  readonly store: SharedCache
  readonly asked: Asked[]
  readonly log: string[]
  readonly authority: Authority
  readonly port: number
  readonly fetchPolicy: FetchPolicy
  textClient(options?: Partial<TextClientOptions>): ReturnType<typeof createTextClient>
  finder(options?: Partial<PolicyFinderOptions>): KeepingPolicyFinder
  /** The record of a domain, and its policy host's address. */
  publish(domain: string, id: string, answer: Answer | string, credentials?: Credentials): void
  record(domain: string, entry: ZoneEntry | undefined): void
}

export const policyText = (mode: string, mx: string, maxAgeSeconds = 604_800): string =>
  `version: STSv1\r\nmode: ${mode}\r\nmx: ${mx}\r\nmax_age: ${maxAgeSeconds}\r\n`

export const recordOf = (id: string): ZoneEntry => ({ TXT: [`v=STSv1; id=${id};`], ttl: 0 })

export async function openWorld(t: TestContext): Promise<World> {
  const authority = makeAuthority()
  const dns = await startDnsServer()
  const asked: Asked[] = []
  const log: string[] = []
  const answers = new Map<string, Answer>()
  const own = authority.issue('mta-sts.example.com', { names: 'DNS:*.example.com,DNS:*.b.example' })
  const server = createServer(
    { cert: own.certificate, key: own.privateKey },
    (request, response) => {
      const { method, url: path, headers } = request
      const host = (headers.host ?? '').replace(/:\d+$/, '')
      const { servername } = request.socket as TLSSocket & { servername?: string | false | null }
      asked.push({ method, path, host, serverName: servername || undefined, headers })
      const answer = answers.get(host)
      if (answer) answer(request, response)
      else response.writeHead(404).end()
    },
  )
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    server.close()
    server.closeAllConnections()
    await dns.close()
    authority.close()
  })
  const place = server.address()
  assert.ok(typeof place === 'object' && place)
  const { port } = place
  const resolver = createResolver({
    servers: [{ address: dns.address, port: dns.port, trusted: false }],
    timeoutMs: 500,
    tries: 3,
  })
  const clock = createTestClock()
  const store = createMemoryCache({ clock, maxEntries: 100_000 })
  const textClient: World['textClient'] = (options) =>
    createTextClient({
      addressesOf: (host, signal) => resolveAddresses(resolver, host, signal),
      timeoutMs: 10_000,
      ca: authority.certificate,
      port,
      ...options,
    })
  const fetchPolicy = createPolicyFetcher(textClient())
  const finders: KeepingPolicyFinder[] = []
  t.after(() => Promise.all(finders.map((finder) => finder.close())))
  return {
    dns,
    resolver,
    clock,
    store,
    asked,
    log,
    authority,
    port,
    fetchPolicy,
    textClient,
    finder(options) {
      const finder = createPolicyFinder({
        resolver,
        fetchPolicy,
        store,
        clock,
        log: (level, message) => log.push(`${level} ${message}`),
        ...options,
      })
      finders.push(finder)
      return finder
    },
    publish(domain, id, answer, credentials) {
      const host = `mta-sts.${domain}`
      const { certificate, privateKey } = credentials ?? authority.issue(host)
      server.addContext(host, { cert: certificate, key: privateKey })
      dns.zone[`_mta-sts.${domain}`] = recordOf(id)
      dns.zone[host] = { A: ['127.0.0.1'], ttl: 0 }
      answers.set(host, typeof answer === 'string' ? serve(answer) : answer)
    },
    record(domain, entry) {
      if (entry) dns.zone[`_mta-sts.${domain}`] = entry
      else delete dns.zone[`_mta-sts.${domain}`]
    },
  }
}

export function serve(text: string): Answer {
  return (_request, response) =>
    void response.writeHead(200, { 'content-type': 'text/plain' }).end(text)
}

export interface BreakableStore extends SharedCache {
  broken: boolean
}

/** A store that is away when it is told so. */
export function breakable(store: SharedCache): BreakableStore {
  const away = (): Promise<never> =>
    Promise.reject(new TempError('cache/unreachable', 'the store is away'))
  const own: BreakableStore = {
    broken: false,
    get: (key) => (own.broken ? away() : store.get(key)),
    getEntry: (key) => (own.broken ? away() : store.getEntry(key)),
    set: (...given) => (own.broken ? away() : store.set(...given)),
    delete: (key) => (own.broken ? away() : store.delete(key)),
    keys: (prefix) => (own.broken ? away() : store.keys(prefix)),
    setIfAbsent: (...given) => (own.broken ? away() : store.setIfAbsent(...given)),
    close: () => store.close(),
  }
  return own
}
