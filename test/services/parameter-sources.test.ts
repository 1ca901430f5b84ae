// The sources of parameters as hisho.ini wires them: real DNS, HTTPS and files.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import { createServer, type Server } from 'node:https'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { decode, encode } from 'dns-packet'
import { systemClock } from '../../lib/clock.ts'
import { TRUST_SOURCES } from '../../lib/mail/scheme.ts'
import { createServices, type Services } from '../../lib/services/services.ts'
import { parseSharedSettings } from '../../lib/services/settings.ts'
import type { Ini } from '../../lib/services/ini-reader.ts'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { redisMissing, startRedis } from '../support/redis-server.ts'
import { makeSite } from '../support/site.ts'

interface Loader {
  module_config(directory: string): { get(name: string, type?: string): unknown }
}

const root = join(__dirname, '..', '..', '..')
const shipped = (require('haraka-config') as Loader).module_config(root)
const DOMAIN = 'b.example'

describe('sources of parameters as hisho.ini has them', () => {
  let record = ''
  let authority: Authority
  let dns: DnsServer
  let web: Server
  let resolver: Http2SecureServer
  let folder = ''
  let services: Services | undefined
  let log: string[] = []

  before(async () => {
    record = (await makeSite(DOMAIN)).record
    authority = makeAuthority()
    dns = await startDnsServer()
    const site = authority.issue(`ibemail.${DOMAIN}`)
    web = createServer({ cert: site.certificate, key: site.privateKey }, (request, response) => {
      assert.equal(request.url, '/.well-known/ibemail.txt')
      response.writeHead(200, { 'content-type': 'text/plain' }).end(`${record}\n`)
    })
    const host = authority.issue('dns.example')
    resolver = createSecureServer({ cert: host.certificate, key: host.privateKey })
    resolver.on('stream', (stream) => {
      stream.on('data', (piece: Buffer) => {
        const { questions = [] } = decode(piece)
        const name = questions[0]?.name ?? ''
        const data = record.match(/.{1,200}/g) ?? []
        stream.respond({ ':status': 200, 'content-type': 'application/dns-message' })
        stream.end(
          encode({ type: 'response', id: 0, questions, answers: [{ type: 'TXT', name, data }] }),
        )
      })
    })
    for (const server of [web, resolver]) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    }
  })
  after(async () => {
    web.close()
    resolver.close()
    await dns.close()
    authority.close()
  })
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-config-'))
    writeFileSync(join(folder, 'ca.pem'), authority.certificate)
    writeFileSync(join(folder, 'hisho.yaml'), '')
    for (const name of Object.keys(dns.zone)) delete dns.zone[name]
    log = []
  })
  afterEach(async () => {
    await services?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  function open(
    changes: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
  ): Services {
    const defaults = shipped.get('hisho.ini', 'ini') as Ini
    const dnsDefaults = { servers: `127.0.0.1:${dns.port}`, timeout_ms: 2000, tries: 1 }
    const all = {
      ...changes,
      main: { workers: 1, ...changes['main'] },
      dns: { ...dnsDefaults, ...changes['dns'] },
    }
    const ini = Object.fromEntries(
      [...new Set([...Object.keys(defaults), ...Object.keys(all)])].map((name) => [
        name,
        { ...defaults[name], ...all[name as keyof typeof all] },
      ]),
    )
    services = createServices({
      settings: parseSharedSettings(ini, folder),
      environment: {},
      clock: systemClock,
      log: (level, message) => log.push(`${level} ${message}`),
    })
    return services
  }
  const portOf = (server: { address(): unknown }): number => {
    const place = server.address()
    assert.ok(typeof place === 'object' && place && 'port' in place)
    return Number(place.port)
  }
  const source = async (): Promise<string | undefined> =>
    (await services?.directory.encryptionParameters(DOMAIN, TRUST_SOURCES))?.source

  it('plain DNS and a directory beside the settings, by default', async () => {
    dns.zone[`_ibemailkey.${DOMAIN}`] = { TXT: [record] }
    open()
    assert.equal(existsSync(join(folder, 'hisho.store')), false)
    assert.equal(await source(), 'continuity')
    assert.equal(readdirSync(join(folder, 'hisho.store')).length, 1)
    assert.deepEqual(
      dns.queries.map(({ name }) => name).filter((name) => name.startsWith('ibemail.')),
      [`ibemail.${DOMAIN}`, `ibemail.${DOMAIN}`],
    )
  })

  it('the well-known file, found by our own DNS', async () => {
    dns.zone[`ibemail.${DOMAIN}`] = { A: ['127.0.0.1'] }
    open({ well_known: { port: portOf(web), ca_file: 'ca.pem' } })
    assert.equal(await source(), 'well_known')
    assert.deepEqual(await services?.directory.remembered(DOMAIN), [record])
    assert.deepEqual(log, [])
  })

  it('the well-known file, switched off', async () => {
    dns.zone[`ibemail.${DOMAIN}`] = { A: ['127.0.0.1'] }
    open({ well_known: { enabled: false, port: portOf(web), ca_file: 'ca.pem' } })
    assert.equal(await source(), undefined)
  })

  it('a resolver over HTTPS, by its address', async () => {
    const url = `https://dns.example:${portOf(resolver)}/dns-query`
    open({ dns: { doh_url: url, doh_address: '127.0.0.1', doh_ca_file: 'ca.pem' } })
    assert.equal(await source(), 'doh')
  })

  it('a resolver over HTTPS, by its name', async () => {
    dns.zone['dns.example'] = { A: ['127.0.0.1'] }
    const url = `https://dns.example:${portOf(resolver)}/dns-query`
    open({ dns: { doh_url: url, doh_ca_file: 'ca.pem' } })
    assert.equal(await source(), 'doh')
  })

  it('Redis as memory, where there is one', { skip: redisMissing }, async () => {
    const redis = await startRedis()
    try {
      dns.zone[`_ibemailkey.${DOMAIN}`] = { TXT: [record] }
      open({ redis: { url: `redis://127.0.0.1:${redis.port}/0`, timeout_ms: 5000 } })
      assert.equal(await source(), 'continuity')
      assert.equal(existsSync(join(folder, 'hisho.store')), false)
      assert.match(await redis.cli('get', `hisho:ibe/remembered/${DOMAIN}`), /ver=2\.0/)
      const century = 100 * 31_557_600
      const ttl = Number(await redis.cli('ttl', `hisho:ibe/remembered/${DOMAIN}`))
      assert.ok(ttl > century - 60 && ttl <= century)
    } finally {
      await services?.close()
      services = undefined
      await redis.close()
    }
  })

  const keys = { wkd_enabled: false }

  it('the longest that a look-up may take is the sum of all that is asked', () => {
    const base = { timeout_ms: 100, tries: 3, servers: '192.0.2.1, 192.0.2.2' }
    assert.equal(open({ dns: base, keys, well_known: { enabled: false } }).lookupMs, 600)
    const wkd = { keys: { wkd_timeout_ms: 1000 }, well_known: { enabled: false } }
    assert.equal(open({ dns: base, ...wkd }).lookupMs, 2600)
  })

  it('with a file, a resolver over HTTPS and Redis it may take longer', () => {
    const base = { timeout_ms: 100, tries: 3, servers: '192.0.2.1, 192.0.2.2' }
    const more = { ...base, doh_url: 'https://dns.example/' }
    assert.equal(open({ dns: more, keys, well_known: { timeout_ms: 50 } }).lookupMs, 950)
    const redis = { url: 'redis://127.0.0.1:9/0', timeout_ms: 10 }
    const settings = { dns: more, keys, well_known: { timeout_ms: 50 }, redis }
    assert.equal(open(settings).lookupMs, 990)
  })
})
