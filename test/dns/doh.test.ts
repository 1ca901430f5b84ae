import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { AUTHENTIC_DATA, decode, encode, type DecodedPacket, type Packet } from 'dns-packet'
import { createDohResolver, type DohOptions, type DohResolver } from '../../lib/dns/doh.ts'
import { TempError, type ErrorCode } from '../../lib/errors.ts'
import { makeAuthority, type Authority, type Credentials } from '../support/authority.ts'

const HOST = 'dns.example'
const NAME = '_ibemailkey.b.example'

interface Request {
  readonly headers: IncomingHttpHeaders
  readonly query: DecodedPacket
  readonly stream: ServerHttp2Stream
}

describe('DNS over HTTPS', () => {
  let authority: Authority
  let good: Credentials
  let server: Http2SecureServer
  let sessions: ServerHttp2Session[] = []
  let requests: Request[] = []
  let answer: (request: Request) => void
  let resolvers: DohResolver[] = []

  before(() => {
    authority = makeAuthority()
    good = authority.issue(HOST)
  })
  after(() => authority.close())
  beforeEach(async () => {
    sessions = []
    requests = []
    resolvers = []
    answer = (request) => respond(request, reply(request.query))
    server = await listen(good)
  })
  afterEach(async () => {
    for (const one of resolvers) one.close()
    await stop(server)
  })

  async function listen(
    { certificate, privateKey }: Credentials,
    options: SecureServerOptions = {},
    port = 0,
  ): Promise<Http2SecureServer> {
    const one = createSecureServer({ cert: certificate, key: privateKey, ...options })
    one.on('session', (session) => {
      sessions.push(session)
      session.on('error', () => {})
    })
    one.on('stream', (stream, headers) => {
      stream.on('error', () => {})
      const pieces: Buffer[] = []
      stream.on('data', (piece: Buffer) => pieces.push(piece))
      stream.on('end', () => {
        const request = { headers, query: decode(Buffer.concat(pieces)), stream }
        requests.push(request)
        answer(request)
      })
    })
    one.listen(port, '127.0.0.1')
    await once(one, 'listening')
    return one
  }
  async function stop(one: Http2SecureServer): Promise<void> {
    const closed = once(one, 'close')
    one.close()
    for (const session of sessions) session.destroy()
    await closed
  }
  function portOf(one: { address(): unknown }): number {
    const place = one.address()
    assert.ok(typeof place === 'object' && place && 'port' in place)
    return Number(place.port)
  }
  function reply(query: DecodedPacket, more: Partial<Packet> = {}): Packet {
    const name = query.questions?.[0]?.name ?? ''
    return {
      type: 'response',
      id: query.id ?? 0,
      flags: AUTHENTIC_DATA,
      questions: query.questions ?? [],
      answers: [{ type: 'TXT', name, ttl: 300, data: ['hello'] }],
      ...more,
    }
  }
  function respond({ stream }: Request, packet: Packet | Uint8Array, type?: string): void {
    stream.respond({ ':status': 200, 'content-type': type ?? 'application/dns-message' })
    stream.end(packet instanceof Uint8Array ? packet : encode(packet))
  }
  function open(options: Partial<DohOptions> = {}): DohResolver {
    const resolver = createDohResolver({
      url: new URL(`https://${HOST}:${portOf(server)}/dns-query`),
      addressesOf: async () => ['127.0.0.1'],
      ca: authority.certificate,
      trusted: false,
      timeoutMs: 3000,
      tries: 2,
      ...options,
    })
    resolvers.push(resolver)
    return resolver
  }
  const ask = async (resolver: DohResolver, name = NAME): Promise<string> => {
    const found = await resolver.resolve(name, 'TXT')
    return found.status === 'found'
      ? found.records.map((strings) => Buffer.concat([...strings]).toString()).join()
      : found.status
  }
  const fails =
    (code: ErrorCode, text = /./) =>
    (error: unknown): boolean => {
      assert.ok(error instanceof TempError, String(error))
      assert.equal(error.code, code, error.message)
      assert.match(error.message, text)
      return true
    }

  it('asks as RFC 8484 has it', async () => {
    assert.equal(await ask(open()), 'hello')
    const [{ headers, query }] = requests as [Request]
    assert.equal(headers[':method'], 'POST')
    assert.equal(headers[':path'], '/dns-query')
    assert.equal(headers[':authority'], `${HOST}:${portOf(server)}`)
    assert.equal(headers['content-type'], 'application/dns-message')
    assert.equal(headers.accept, 'application/dns-message')
    assert.equal(query.id, 0)
    assert.deepEqual(
      query.questions?.map(({ name, type }) => [name, type]),
      [[NAME, 'TXT']],
    )
    assert.equal(query.flag_ad, true)
  })

  it('believes the AD bit only where it is told to', async () => {
    assert.equal((await open().resolve(NAME, 'TXT')).authentic, false)
    assert.equal((await open({ trusted: true }).resolve(NAME, 'TXT')).authentic, true)
    answer = (request) => respond(request, reply(request.query, { flags: 0 }))
    assert.equal((await open({ trusted: true }).resolve(NAME, 'TXT')).authentic, false)
  })

  it('tells what is not there from what fails', async () => {
    answer = (request) => respond(request, reply(request.query, { flags: 3, answers: [] }))
    assert.equal(await ask(open()), 'nxdomain')
    answer = (request) => respond(request, reply(request.query, { answers: [] }))
    assert.equal(await ask(open()), 'nodata')
    answer = (request) => respond(request, reply(request.query, { flags: 2, answers: [] }))
    await assert.rejects(ask(open()), fails('dns/servfail'))
    answer = (request) => respond(request, reply(request.query, { flags: 5, answers: [] }))
    await assert.rejects(ask(open()), fails('dns/refused', new RegExp(`^${NAME} TXT: ${HOST}:`)))
  })

  it('has one connection for all questions, and asks them at once', async () => {
    const resolver = open()
    let waiting: Request[] = []
    answer = (request) => {
      waiting.push(request)
      if (waiting.length < 20) return
      for (const one of waiting) respond(one, reply(one.query))
      waiting = []
    }
    const names = Array.from({ length: 20 }, (_, at) => `d${at}.example`)
    assert.deepEqual(
      await Promise.all(names.map((name) => ask(resolver, name))),
      names.map(() => 'hello'),
    )
    answer = (request) => respond(request, reply(request.query))
    await ask(resolver)
    assert.equal(sessions.length, 1)
  })

  it('asks again on another connection when the server goes away in the middle', async () => {
    const resolver = open()
    assert.equal(await ask(resolver), 'hello')
    answer = (request) => {
      answer = (next) => respond(next, reply(next.query))
      request.stream.respond({ ':status': 200, 'content-type': 'application/dns-message' })
      request.stream.write(encode(reply(request.query)).subarray(0, 20))
      setImmediate(() => request.stream.session?.destroy())
    }
    assert.equal(await ask(resolver), 'hello')
    assert.equal(sessions.length, 2)
  })

  it('finds a server again that was away', async () => {
    const resolver = open()
    assert.equal(await ask(resolver), 'hello')
    const port = portOf(server)
    await stop(server)
    await assert.rejects(ask(resolver), fails('http/unreachable'))
    server = await listen(good, {}, port)
    assert.equal(await ask(resolver), 'hello')
  })

  it('leaves a connection that the server closes for good', async () => {
    const resolver = open()
    assert.equal(await ask(resolver), 'hello')
    sessions[0]?.goaway()
    sessions[0]?.close()
    assert.equal(await ask(resolver), 'hello')
    assert.equal(await ask(resolver), 'hello')
    assert.equal(sessions.length, 2)
  })

  it('gives up a connection that is silent, and waits no longer than it may', async () => {
    const resolver = open({ timeoutMs: 200, tries: 3 })
    assert.equal(await ask(resolver), 'hello')
    answer = () => {}
    const start = performance.now()
    await assert.rejects(ask(resolver), fails('dns/timeout'))
    const took = performance.now() - start
    assert.ok(took >= 390 && took < 2000, `${took} ms`)
    answer = (request) => respond(request, reply(request.query))
    assert.equal(await ask(resolver), 'hello')
    assert.ok(sessions.length > 2)
  })

  it('ends with the signal', async () => {
    answer = () => {}
    const controller = new AbortController()
    const asking = open().resolve(NAME, 'TXT', controller.signal)
    const reason = new Error('enough')
    setTimeout(() => controller.abort(reason), 50)
    await assert.rejects(asking, reason)
  })

  const wrong: readonly (readonly [string, ErrorCode, (request: Request) => void])[] = [
    ['another id', 'dns/malformed', (one) => respond(one, reply(one.query, { id: 7 }))],
    [
      'another question',
      'dns/malformed',
      (one) => respond(one, reply(one.query, { questions: [{ type: 'TXT', name: 'c.example' }] })),
    ],
    [
      'another type',
      'dns/malformed',
      (one) => respond(one, reply(one.query, { questions: [{ type: 'A', name: NAME }] })),
    ],
    [
      'a truncated answer',
      'dns/malformed',
      (one) => respond(one, reply(one.query, { flags: 512 })),
    ],
    ['the query', 'dns/malformed', (one) => respond(one, encode({ ...one.query, type: 'query' }))],
    ['no bytes', 'dns/malformed', (one) => respond(one, new Uint8Array(0))],
    [
      'bytes that are no message',
      'dns/malformed',
      (one) =>
        respond(
          one,
          Buffer.concat([encode(reply(one.query)).subarray(0, 12), Buffer.alloc(9, 0xbf)]),
        ),
    ],
    ['another media type', 'http/malformed', (one) => respond(one, reply(one.query), 'text/html')],
    [
      'no media type',
      'http/malformed',
      ({ stream, query }) => {
        stream.respond({ ':status': 200 })
        stream.end(encode(reply(query)))
      },
    ],
    ['too much', 'http/malformed', (one) => respond(one, Buffer.alloc(65_536))],
    [
      'without end',
      'http/malformed',
      ({ stream }) => {
        stream.respond({ ':status': 200, 'content-type': 'application/dns-message' })
        const more = (): void => void (stream.destroyed || stream.write(Buffer.alloc(10_000), more))
        more()
      },
    ],
    ['a reset', 'http/unreachable', ({ stream }) => stream.close(constants.NGHTTP2_INTERNAL_ERROR)],
    [
      'an end before its header',
      'http/unreachable',
      ({ stream }) => stream.close(constants.NGHTTP2_NO_ERROR),
    ],
  ]
  for (const status of [204, 301, 404, 429, 500])
    it(`takes nothing with status ${status}`, async () => {
      answer = ({ stream, query }) => {
        stream.respond({
          ':status': status,
          'content-type': 'application/dns-message',
          location: '/other',
        })
        stream.end(status === 204 ? undefined : encode(reply(query)))
      }
      await assert.rejects(ask(open()), fails('http/status', new RegExp(`status ${status}`)))
      assert.equal(requests.length, 2)
    })
  for (const [what, code, behave] of wrong) {
    it(`takes nothing from a server that sends ${what}`, async () => {
      answer = behave
      await assert.rejects(ask(open()), fails(code))
      answer = (request) => respond(request, reply(request.query))
      assert.equal(await ask(resolvers[0]!), 'hello')
    })
  }

  it('speaks with nobody but the host of the URL', async () => {
    const stranger = makeAuthority()
    const cases: readonly (readonly [Credentials, RegExp])[] = [
      [authority.issue('other.example'), /does not match/],
      [authority.issue(HOST, { names: '' }), /names no host/],
      [authority.issue(HOST, { days: -1 }), /expired/],
      [stranger.issue(HOST), /unable to verify|self.signed|issuer/],
    ]
    for (const [credentials, reason] of cases) {
      await stop(server)
      server = await listen(credentials)
      await assert.rejects(ask(open()), fails('http/unreachable', reason))
    }
    assert.deepEqual(requests, [])
    stranger.close()
  })

  it('checks the certificate of an address by the address', async () => {
    const url = (): URL => new URL(`https://127.0.0.1:${portOf(server)}/q`)
    await assert.rejects(ask(open({ url: url() })), fails('http/unreachable', /does not match/))
    await stop(server)
    server = await listen(authority.issue('x', { names: 'IP:127.0.0.1' }))
    assert.equal(await ask(open({ url: url() })), 'hello')
  })

  it('speaks HTTP/2 and nothing else', async () => {
    const { certificate, privateKey } = good
    const old = createTlsServer({ cert: certificate, key: privateKey }, (socket) => {
      socket.on('error', () => {})
      socket.resume()
    })
    old.on('tlsClientError', () => {})
    old.listen(0, '127.0.0.1')
    await once(old, 'listening')
    const url = new URL(`https://${HOST}:${portOf(old)}/`)
    await assert.rejects(ask(open({ url })), fails('http/unreachable'))
    old.close()
  })

  it('waits no longer for a connection that is not made', async () => {
    const held: Socket[] = []
    const silent = createServer((socket) => held.push(socket))
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const url = new URL(`https://${HOST}:${portOf(silent)}/`)
    await assert.rejects(ask(open({ url, timeoutMs: 200 })), fails('dns/timeout'))
    for (const socket of held) socket.destroy()
    silent.close()
  })

  it('says when its host has no address, or nobody knows one', async () => {
    await assert.rejects(
      ask(open({ addressesOf: async () => [] })),
      fails('http/unreachable', /dns\.example has no address/),
    )
    const addressesOf = () => Promise.reject(new TempError('dns/servfail', 'response code 2'))
    await assert.rejects(ask(open({ addressesOf })), fails('dns/servfail'))
  })

  it('asks nothing more once it is closed', async () => {
    const resolver = open()
    await ask(resolver)
    resolver.close()
    resolver.close()
    await assert.rejects(ask(resolver), fails('http/unreachable', /closed/))
  })
})
