import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server, type ServerOptions } from 'node:https'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { PermError, TempError } from '../../lib/errors.ts'
import {
  createTextClient,
  type TextClientOptions,
  type TextOutcome,
} from '../../lib/http/fetch-text.ts'
import { makeAuthority, type Authority, type Credentials } from '../support/authority.ts'

const HOST = 'ibemail.b.example'
const PATH = '/.well-known/ibemail.txt'

interface Seen {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly hostField: string | undefined
  readonly serverName: string | false | null
}

describe('a text from a well-known place', () => {
  let authority: Authority
  let good: Credentials
  let server: Server
  let handler: (request: IncomingMessage, response: ServerResponse) => void
  let seen: Seen[] = []
  const servers: Server[] = []

  before(async () => {
    authority = makeAuthority()
    good = authority.issue(HOST)
    server = await listen({ cert: good.certificate, key: good.privateKey })
  })
  after(() => {
    for (const one of servers) {
      one.close()
      one.closeAllConnections()
    }
    authority.close()
  })
  beforeEach(() => {
    seen = []
    handler = (_request, response) => text(response, 'hello\n')
  })

  async function listen(options: ServerOptions): Promise<Server> {
    const one = createServer(options, (request, response) => {
      const { method, url: path, headers, socket } = request
      const { servername } = socket as TLSSocket & { servername?: string | false | null }
      seen.push({ method, path, hostField: headers.host, serverName: servername ?? null })
      handler(request, response)
    })
    one.on('tlsClientError', () => {})
    one.listen(0, '127.0.0.1')
    await once(one, 'listening')
    servers.push(one)
    return one
  }
  function text(response: ServerResponse, body: string | Uint8Array, type = 'text/plain'): void {
    response.writeHead(200, { 'content-type': type })
    response.end(body)
  }
  function portOf(one: Pick<Server, 'address'>): number {
    const place = one.address()
    assert.ok(typeof place === 'object' && place)
    return place.port
  }
  function fetchText(options: Partial<TextClientOptions> = {}, host = HOST): Promise<TextOutcome> {
    const client = createTextClient({
      addressesOf: async () => ['127.0.0.1'],
      timeoutMs: 10_000,
      ca: authority.certificate,
      port: portOf(server),
      ...options,
    })
    return client(host, PATH)
  }
  const assertUnusable = (outcome: TextOutcome, reason: RegExp): void => {
    assert.equal(outcome.status, 'unusable')
    assert.match(outcome.status === 'unusable' ? outcome.reason : '', reason)
  }

  it('is found, and asked for by its host’s name', async () => {
    assert.deepEqual(await fetchText(), { status: 'found', text: 'hello\n' })
    assert.deepEqual(seen, [
      { method: 'GET', path: PATH, hostField: `${HOST}:${portOf(server)}`, serverName: HOST },
    ])
  })

  it('may be said to be text in whatever characters and letters', async () => {
    handler = (_request, response) => text(response, 'ö', 'Text/Plain; charset=utf-8')
    assert.deepEqual(await fetchText(), { status: 'found', text: 'ö' })
  })

  it('is absent where there is no such host, without a connection', async () => {
    assert.deepEqual(await fetchText({ addressesOf: async () => [] }), { status: 'absent' })
    assert.deepEqual(seen, [])
  })

  for (const status of [404, 410]) {
    it(`is absent where the server says ${status}`, async () => {
      handler = (_request, response) => response.writeHead(status).end('nothing here')
      assert.deepEqual(await fetchText(), { status: 'absent' })
    })
  }

  for (const status of [201, 204, 206, 301, 302, 307, 308, 401, 403, 500, 503]) {
    it(`is of no use with status ${status}, and nothing is followed`, async () => {
      handler = (_request, response) =>
        response
          .writeHead(status, { location: `https://${HOST}/other`, 'content-type': 'text/plain' })
          .end()
      assertUnusable(await fetchText(), new RegExp(`^status ${status}$`))
      assert.equal(seen.length, 1)
    })
  }

  for (const type of ['text/html', 'application/octet-stream', 'text/plainer', '']) {
    it(`is of no use as ${type || 'nothing'}`, async () => {
      handler = (_request, response) => {
        response.writeHead(200, type === '' ? {} : { 'content-type': type })
        response.end('hello')
      }
      assertUnusable(await fetchText(), /^media type /)
    })
  }

  it('is of no use when it is compressed', async () => {
    handler = (_request, response) =>
      response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }).end('x')
    assertUnusable(await fetchText(), /^encoded$/)
  })

  it('may have 64 KiB, and not a byte more', async () => {
    handler = (_request, response) => text(response, 'x'.repeat(65_536))
    assert.equal((await fetchText()).status, 'found')
    handler = (_request, response) => text(response, 'x'.repeat(65_537))
    assertUnusable(await fetchText(), /^longer than 65536 bytes$/)
  })

  it('is not read to an end that never comes', async () => {
    handler = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      const more = (): void => void (response.destroyed || response.write('x'.repeat(10_000), more))
      more()
    }
    assertUnusable(await fetchText(), /^longer than/)
  })

  it('must be UTF-8', async () => {
    handler = (_request, response) => text(response, Uint8Array.of(0x66, 0xff))
    assertUnusable(await fetchText(), /^not UTF-8$/)
  })

  it('must come whole', async () => {
    handler = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': '100' })
      response.write('part', () => response.destroy())
    }
    assertUnusable(await fetchText(), /aborted|closed|terminated/)
  })

  it('must come in time, however it is delayed', async () => {
    const silent = createTcpServer(() => {})
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const held: Socket[] = []
    silent.on('connection', (socket) => held.push(socket))
    const late = /^no whole answer in 300 ms$/
    try {
      assertUnusable(await fetchText({ timeoutMs: 300, port: portOf(silent) }), late)
      handler = () => {}
      assertUnusable(await fetchText({ timeoutMs: 300 }), late)
      handler = (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/plain' })
        const timer = setInterval(() => response.write('x'), 20)
        response.on('close', () => clearInterval(timer))
      }
      assertUnusable(await fetchText({ timeoutMs: 300 }), late)
      const addressesOf: TextClientOptions['addressesOf'] = (_host, signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      assertUnusable(await fetchText({ timeoutMs: 300, addressesOf }), late)
    } finally {
      for (const socket of held) socket.destroy()
      silent.close()
    }
  })

  it('must come from a host with a certificate for it', async () => {
    const cases: readonly (readonly [Credentials, RegExp])[] = [
      [authority.issue('other.example'), /does not match certificate's altnames/],
      [authority.issue('b.example', { names: 'DNS:b.example' }), /does not match/],
      [authority.issue(HOST, { names: '' }), /names no host/],
      [authority.issue(HOST, { names: 'DNS:ibe*.b.example' }), /has no name/],
      [authority.issue(HOST, { days: -1 }), /certificate has expired/],
    ]
    for (const [{ certificate, privateKey }, reason] of cases) {
      const one = await listen({ cert: certificate, key: privateKey })
      const outcome = await fetchText({ port: portOf(one) })
      assertUnusable(outcome, reason)
      assert.equal(outcome.status === 'unusable' && outcome.failure, 'certificate')
    }
    const stranger = makeAuthority()
    const { certificate, privateKey } = stranger.issue(HOST)
    const one = await listen({ cert: certificate, key: privateKey })
    assertUnusable(await fetchText({ port: portOf(one) }), /unable to verify|self.signed|issuer/)
    assert.equal((await fetchText({ port: portOf(one), ca: stranger.certificate })).status, 'found')
    stranger.close()
    assert.equal(seen.length, 1, 'nothing was asked of those that are not believed')
  })

  it('may have a certificate for all names of the domain', async () => {
    const { certificate, privateKey } = authority.issue('b.example', { names: 'DNS:*.b.example' })
    const one = await listen({ cert: certificate, key: privateKey })
    assert.equal((await fetchText({ port: portOf(one) })).status, 'found')
  })

  it('comes from a server that needs the name to choose its certificate', async () => {
    const wrong = authority.issue('other.example')
    const one = await listen({ cert: wrong.certificate, key: wrong.privateKey })
    one.addContext(HOST, { cert: good.certificate, key: good.privateKey })
    assert.equal((await fetchText({ port: portOf(one) })).status, 'found')
  })

  it('does not come by TLS 1.1', async () => {
    const old = await listen({
      cert: good.certificate,
      key: good.privateKey,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    assertUnusable(await fetchText({ port: portOf(old) }), /protocol version|unsupported protocol/)
  })

  it('does not come from what speaks no TLS, or not at all', async () => {
    const plain = createTcpServer((socket) => void socket.resume().end('HTTP/1.1 200 OK\r\n\r\n'))
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    const port = portOf(plain)
    assertUnusable(await fetchText({ port }), /wrong version number|packet length/)
    plain.close()
    await once(plain, 'close')
    assertUnusable(await fetchText({ port }), /ECONNREFUSED/)
  })

  it('is asked for at another address when the first does not answer', async () => {
    const outcome = await fetchText({ addressesOf: async () => ['127.0.0.2', '::1', '127.0.0.1'] })
    assert.equal(outcome.status, 'found')
  })

  it('is asked for at another address when the first is not believed, resets, or is silent', async () => {
    const port = portOf(server)
    const addressesOf = async () => ['127.0.0.2', '127.0.0.1']
    const wrong = authority.issue('other.example')
    const distrusted = createServer({ cert: wrong.certificate, key: wrong.privateKey })
    const reset = createTcpServer((socket) => socket.destroy())
    const held: Socket[] = []
    const silent = createTcpServer((socket) => held.push(socket))
    for (const [first, reason] of [
      [distrusted, /altnames/],
      [reset, /ECONNRESET|disconnected|hang up/],
      [silent, /^no whole answer/],
    ] as const) {
      first.on('tlsClientError', () => {})
      first.listen(port, '127.0.0.2')
      await once(first, 'listening')
      try {
        const timeoutMs = 1200
        assert.equal((await fetchText({ addressesOf, timeoutMs })).status, 'found')
        const alone = await fetchText({ addressesOf: async () => ['127.0.0.2'], timeoutMs: 300 })
        assertUnusable(alone, reason)
      } finally {
        for (const socket of held) socket.destroy()
        first.close()
        await once(first, 'close')
      }
    }
  })

  it('a certificate that is not believed is told, whatever the other addresses say', async () => {
    const wrong = authority.issue('other.example')
    const one = await listen({ cert: wrong.certificate, key: wrong.privateKey })
    for (const addresses of [
      ['127.0.0.1', '127.0.0.9'],
      ['127.0.0.9', '127.0.0.1'],
    ]) {
      const outcome = await fetchText({ port: portOf(one), addressesOf: async () => addresses })
      assert.equal(outcome.status === 'unusable' && outcome.failure, 'certificate')
    }
    const dead = await fetchText({ addressesOf: async () => ['127.0.0.9'] })
    assert.equal(dead.status === 'unusable' && dead.failure, 'other')
  })

  it('does not come from addresses that are not public, where only public ones will do', async () => {
    const addressesOf = async () => ['127.0.0.1', '::1', '192.168.1.1']
    assertUnusable(await fetchText({ addressesOf, reach: 'public' }), /has no public address$/)
    assert.deepEqual(seen, [])
    assert.equal((await fetchText({ addressesOf, reach: 'any' })).status, 'found')
  })

  it('cannot be said where nobody knows the host’s address', async () => {
    for (const error of [
      new TempError('dns/servfail', 'response code 2'),
      new PermError('dns/malformed', 'domain name is empty'),
    ]) {
      const addressesOf = () => Promise.reject(error)
      assertUnusable(await fetchText({ addressesOf }), new RegExp(`^${error.message}$`))
    }
  })

  it('a bug is no outcome', async () => {
    const addressesOf = () => Promise.reject(new TypeError('bug'))
    await assert.rejects(fetchText({ addressesOf }), TypeError)
  })
})
