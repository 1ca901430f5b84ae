import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { createPolicyFetcher, type FetchedPolicy } from '../../lib/mta-sts/fetch.ts'
import type { StsFailure } from '../../lib/mta-sts/outcome.ts'
import { makeAuthority, type Credentials } from '../support/authority.ts'
import { openWorld, policyText, serve, type Answer, type World } from './world.ts'

const DOMAIN = 'example.com'
const HOST = 'mta-sts.example.com'
const ENFORCE = policyText('enforce', 'mx.example.com')

const assertFailed = (
  fetched: FetchedPolicy,
  resultType: StsFailure['resultType'],
  reason: RegExp,
): void => {
  assert.equal(fetched.status, 'failed')
  assert.equal(fetched.failure.resultType, resultType)
  assert.match(fetched.failure.reason, reason)
}

/** A policy host of its own, on a port of its own. */
async function startHost(
  t: TestContext,
  { certificate, privateKey }: Credentials,
  options: ServerOptions = {},
): Promise<number> {
  const server = createHttpsServer(
    { cert: certificate, key: privateKey, ...options },
    serve(ENFORCE),
  )
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const place = server.address()
  assert.ok(typeof place === 'object' && place)
  return place.port
}

function fetchFrom(
  world: World,
  options: Parameters<World['textClient']>[0],
): Promise<FetchedPolicy> {
  world.dns.zone[HOST] ??= { A: ['127.0.0.1'] }
  return createPolicyFetcher(world.textClient(options))(DOMAIN)
}

describe('the fetch of a policy', () => {
  it('S6: brings the policy, and its text as it is', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const fetched = await world.fetchPolicy(DOMAIN)
    assert.ok(fetched.status === 'found')
    assert.equal(fetched.text, ENFORCE)
    assert.equal(fetched.policy.mode, 'enforce')
  })

  it('S7: of media type text/plain, with whatever parameters', async (t) => {
    const world = await openWorld(t)
    for (const [type, expect] of [
      ['text/plain; charset=utf-8', 'found'],
      ['TEXT/PLAIN;x=y', 'found'],
      ['text/html', 'failed'],
      ['application/octet-stream', 'failed'],
      [undefined, 'failed'],
    ] as const) {
      world.publish(DOMAIN, '1', (_request, response) =>
        response.writeHead(200, type === undefined ? {} : { 'content-type': type }).end(ENFORCE),
      )
      const fetched = await world.fetchPolicy(DOMAIN)
      assert.equal(fetched.status, expect, type)
      if (expect === 'failed') assertFailed(fetched, 'sts-policy-fetch-error', /^media type/)
    }
  })

  it('S15: with status 200 and no other, whatever the body says (Stalwart)', async (t) => {
    const world = await openWorld(t)
    for (const status of [201, 202, 203, 204, 206, 400, 403, 500, 503]) {
      world.publish(DOMAIN, '1', (_request, response) =>
        response.writeHead(status, { 'content-type': 'text/plain' }).end(ENFORCE),
      )
      const reason = new RegExp(`^status ${status}$`)
      assertFailed(await world.fetchPolicy(DOMAIN), 'sts-policy-fetch-error', reason)
    }
    for (const status of [404, 410]) {
      world.publish(DOMAIN, '1', (_request, response) => response.writeHead(status).end())
      assertFailed(await world.fetchPolicy(DOMAIN), 'sts-policy-fetch-error', /has no policy$/)
    }
  })

  it('S16: without following a redirect', async (t) => {
    const world = await openWorld(t)
    world.publish('b.example', '1', ENFORCE)
    for (const status of [301, 302, 303, 307, 308]) {
      world.publish(DOMAIN, '1', (_request, response) =>
        response
          .writeHead(status, {
            location: `https://mta-sts.b.example:${world.port}/.well-known/mta-sts.txt`,
          })
          .end(),
      )
      world.asked.length = 0
      assertFailed(await world.fetchPolicy(DOMAIN), 'sts-policy-fetch-error', /^status 30/)
      assert.equal(world.asked.length, 1)
    }
  })

  it('S19: of 64 KiB and not a byte more, with a length or in chunks', async (t) => {
    const world = await openWorld(t)
    const padded = (size: number): string =>
      `${ENFORCE}x: ${'y'.repeat(size - ENFORCE.length - 5)}\r\n`
    const inChunks =
      (text: string): Answer =>
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/plain' })
        for (let at = 0; at < text.length; at += 1000) response.write(text.slice(at, at + 1000))
        response.end()
      }
    const whole = padded(65_536)
    assert.equal(whole.length, 65_536)
    for (const answer of [serve(whole), inChunks(whole)]) {
      world.publish(DOMAIN, '1', answer)
      assert.equal((await world.fetchPolicy(DOMAIN)).status, 'found')
    }
    const longer = padded(65_537)
    for (const answer of [serve(longer), inChunks(longer)]) {
      world.publish(DOMAIN, '1', answer)
      assertFailed(await world.fetchPolicy(DOMAIN), 'sts-policy-fetch-error', /^longer than 65536/)
    }
  })

  it('S19: not to the end of a body that has none (mailauth)', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      const more = (): void => void (response.destroyed || response.write(ENFORCE, more))
      more()
    })
    assertFailed(await world.fetchPolicy(DOMAIN), 'sts-policy-fetch-error', /^longer than/)
  })

  it('S19: in one time in all, for a host that is silent and for one that is slow', async (t) => {
    const world = await openWorld(t)
    const late = /^no whole answer in 300 ms$/
    world.publish(DOMAIN, '1', () => {})
    assertFailed(await fetchFrom(world, { timeoutMs: 300 }), 'sts-policy-fetch-error', late)
    world.publish(DOMAIN, '1', (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' })
      const timer = setInterval(() => response.write('x'), 20)
      response.on('close', () => clearInterval(timer))
    })
    assertFailed(await fetchFrom(world, { timeoutMs: 300 }), 'sts-policy-fetch-error', late)
  })

  it('S13: from a host whose certificate is not valid it is no policy, and the report says which fault it was', async (t) => {
    const world = await openWorld(t)
    const { authority } = world
    const stranger = makeAuthority()
    t.after(() => stranger.close())
    const cases: readonly (readonly [string, Credentials, RegExp])[] = [
      ['out of date', authority.issue(HOST, { days: -1 }), /expired/],
      ['of another authority', stranger.issue(HOST), /unable to|issuer|self.signed/],
      ['of another host', authority.issue('www.example.com'), /does not match/],
      ['of the domain alone', authority.issue(DOMAIN), /does not match/],
      ['with a common name alone', authority.issue(HOST, { names: '' }), /names no host/],
      ['of an address', authority.issue(HOST, { names: 'IP:127.0.0.1' }), /does not match|no name/],
      [
        'with a wildcard for part of a label',
        authority.issue(HOST, { names: 'DNS:mta-*.example.com' }),
        /no name/,
      ],
      [
        'with a wildcard for two labels',
        authority.issue(HOST, { names: 'DNS:*.com' }),
        /does not match|no name/,
      ],
      ['for clients', authority.issue(HOST, { usage: 'clientAuth' }), /purpose|unsuitable/],
    ]
    for (const [what, credentials, reason] of cases) {
      const port = await startHost(t, credentials)
      const fetched = await fetchFrom(world, { port })
      assert.equal(fetched.status, 'failed', what)
      assertFailed(fetched, 'sts-webpki-invalid', reason)
    }
    for (const names of [
      `DNS:${HOST}`,
      'DNS:*.example.com',
      `DNS:other.example,DNS:${HOST.toUpperCase()}`,
    ]) {
      const port = await startHost(t, authority.issue('x.example', { names }))
      assert.equal((await fetchFrom(world, { port })).status, 'found', names)
    }
  })

  it('S37: a host that needs SNI gets it, and one that shows another certificate without it is found', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE) // by a context for its name; without SNI another certificate is shown
    assert.equal((await world.fetchPolicy(DOMAIN)).status, 'found')
    assert.equal(world.asked[0]?.serverName, HOST)
  })

  it('S38: by TLS 1.2 or later', async (t) => {
    const world = await openWorld(t)
    const good = world.authority.issue(HOST)
    const modern = await startHost(t, good, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
    assert.equal((await fetchFrom(world, { port: modern })).status, 'found')
    const ciphers = 'DEFAULT@SECLEVEL=0'
    const old = await startHost(t, good, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers })
    assertFailed(await fetchFrom(world, { port: old }), 'sts-policy-fetch-error', /protocol/)
  })

  it('never in clear, and a host that does not speak TLS has none', async (t) => {
    const world = await openWorld(t)
    const said: string[] = []
    const held: Socket[] = []
    const plain = createTcpServer((socket) => {
      held.push(socket)
      socket.on('data', (piece) => {
        said.push(piece.toString('latin1'))
        socket.end(`HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n${ENFORCE}`)
      })
    })
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    t.after(() => {
      for (const socket of held) socket.destroy()
      plain.close()
    })
    const place = plain.address()
    assert.ok(typeof place === 'object' && place)
    assertFailed(await fetchFrom(world, { port: place.port }), 'sts-policy-fetch-error', /./)
    assert.doesNotMatch(said.join(''), /GET/)
  })

  it('from any address of the host, when the first is dead or not to be believed (mailauth)', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    world.dns.zone[HOST] = { A: ['127.0.0.9', '127.0.0.1'], AAAA: ['::1'] }
    assert.equal((await world.fetchPolicy(DOMAIN)).status, 'found')
    world.dns.zone[HOST] = { misbehave: 'servfail' }
    assertFailed(
      await world.fetchPolicy(DOMAIN),
      'sts-policy-fetch-error',
      /response code 2|SERVFAIL/i,
    )
    delete world.dns.zone[HOST]
    assertFailed(await world.fetchPolicy(DOMAIN), 'sts-policy-fetch-error', /has no policy$/)
  })

  it('S11: what is no policy is invalid, and the report says what is wrong with it', async (t) => {
    const world = await openWorld(t)
    for (const [text, reason] of [
      ['', /^version: missing$/],
      [ENFORCE.replace('enforce', 'strict'), /^mode: /],
      [ENFORCE.replace('604800', '1e5'), /^max_age: /],
      [ENFORCE.replace('mx.example.com', '192.0.2.1'), /^mx: an address/],
      ['<!doctype html>\n', /^policy: /],
    ] as const) {
      world.publish(DOMAIN, '1', text)
      assertFailed(await world.fetchPolicy(DOMAIN), 'sts-policy-invalid', reason)
    }
  })

  it('from no address of our own network, unless that is allowed', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    world.dns.zone[HOST] = {
      A: ['127.0.0.1', '10.0.0.1'],
      AAAA: ['::1', 'fd00::1', '::ffff:127.0.0.1'],
    }
    const fetched = await fetchFrom(world, { reach: 'public' })
    assertFailed(fetched, 'sts-policy-fetch-error', /has no public address$/)
    assert.equal(world.asked.length, 0)
    assert.equal((await fetchFrom(world, { reach: 'any' })).status, 'found')
  })
})
