import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { createCachingResolver } from '../../lib/dns/caching.ts'
import { createResolver, type Resolver } from '../../lib/dns/resolver.ts'
import { PermError, TempError } from '../../lib/errors.ts'
import { startDnsServer, type DnsServer, type Zone } from '../support/dns-server.ts'
import { processorTime } from '../support/processor-time.ts'

const HOST = 'mx.example.com'

interface World {
  readonly resolver: Resolver
  readonly server: DnsServer
  readonly clock: { now: number }
}

async function world(t: TestContext, zone: Zone, maxEntries = 100): Promise<World> {
  const server = await startDnsServer(zone)
  t.after(() => server.close())
  const { address, port } = server
  const clock = { now: 1_000_000, nowMs: () => clock.now }
  const inner = createResolver({
    servers: [{ address, port, trusted: true }],
    timeoutMs: 500,
    tries: 3,
  })
  return { server, clock, resolver: createCachingResolver({ resolver: inner, clock, maxEntries }) }
}

describe('a resolver that remembers', () => {
  it('D32: keeps an answer for its TTL, which counts down, and no longer', async (t) => {
    const { resolver, server, clock } = await world(t, {
      [HOST]: { A: ['192.0.2.1'], ttl: 60, authentic: true },
    })
    const first = await resolver.resolve(HOST, 'A')
    clock.now += 59_000
    assert.deepEqual(await resolver.resolve(HOST, 'A'), { ...first, ttlSeconds: 1 })
    assert.equal(server.queries.length, 1)
    clock.now += 1000
    assert.equal((await resolver.resolve(HOST, 'A')).ttlSeconds, 60)
    assert.equal(server.queries.length, 2)
  })

  it('D32: an answer with a TTL of nothing is for those who asked', async (t) => {
    const { resolver, server } = await world(t, { [HOST]: { A: ['192.0.2.1'], ttl: 0 } })
    await resolver.resolve(HOST, 'A')
    await resolver.resolve(HOST, 'A')
    assert.equal(server.queries.length, 2)
  })

  it('D32: a year is a day', async (t) => {
    const { resolver, server, clock } = await world(t, {
      [HOST]: { A: ['192.0.2.1'], ttl: 31_557_600 },
    })
    await resolver.resolve(HOST, 'A')
    clock.now += 86_400_000
    await resolver.resolve(HOST, 'A')
    assert.equal(server.queries.length, 2)
  })

  it('keeps it that there is nothing, as long as the SOA says', async (t) => {
    const { resolver, server, clock } = await world(t, {
      'example.com': { soa: { ttl: 300, minimum: 30 }, authentic: true },
    })
    const first = await resolver.resolve(HOST, 'TLSA')
    assert.deepEqual([first.status, first.authentic, first.ttlSeconds], ['nxdomain', true, 30])
    clock.now += 29_999
    assert.deepEqual(await resolver.resolve(HOST, 'TLSA'), { ...first, ttlSeconds: 0 })
    assert.equal(server.queries.length, 1)
    clock.now += 1
    await resolver.resolve(HOST, 'TLSA')
    assert.equal(server.queries.length, 2)
  })

  it('takes capitals and a final dot for what they are, and types apart', async (t) => {
    const { resolver, server } = await world(t, { [HOST]: { A: ['192.0.2.1'], TXT: ['x'] } })
    await resolver.resolve(HOST, 'A')
    await resolver.resolve('MX.Example.com.', 'A')
    assert.equal(server.queries.length, 1)
    assert.equal((await resolver.resolve(HOST, 'TXT')).status, 'found')
    assert.equal(server.queries.length, 2)
  })

  it('D1: keeps an error for a second and no longer, and never as absence', async (t) => {
    const { resolver, server, clock } = await world(t, {
      [HOST]: { A: ['192.0.2.1'], misbehave: 'servfail', times: 1 },
    })
    await assert.rejects(resolver.resolve(HOST, 'A'), TempError)
    await assert.rejects(resolver.resolve(HOST, 'A'), TempError)
    assert.equal(server.queries.length, 1)
    clock.now += 1000
    assert.equal((await resolver.resolve(HOST, 'A')).status, 'found')
  })

  it('refuses a name that no DNS can hold, each time', async (t) => {
    const { resolver } = await world(t, {})
    await assert.rejects(resolver.resolve('a b', 'A'), PermError)
    await assert.rejects(resolver.resolve('a b', 'A'), PermError)
  })

  it('is bounded: what was asked for last stays', async (t) => {
    const zone = Object.fromEntries(
      ['one.example', 'two.example', 'three.example'].map((name) => [name, { A: ['192.0.2.1'] }]),
    )
    const { resolver, server } = await world(t, zone, 2)
    const ask = (name: string) => resolver.resolve(`${name}.example`, 'A')
    for (const name of ['one', 'two', 'one', 'three', 'one']) await ask(name)
    assert.equal(server.queries.length, 3)
    await ask('two')
    assert.equal(server.queries.length, 4)
  })

  it('answers from memory in microseconds', async (t) => {
    const { resolver } = await world(t, { [HOST]: { A: ['192.0.2.1'] } })
    await resolver.resolve(HOST, 'A')
    const took = processorTime()
    for (let i = 0; i < 10_000; i += 1) await resolver.resolve(HOST, 'A')
    assert.ok(took() / 10_000 < 0.1)
  })
})

describe('one question by several', () => {
  it('is asked once', async (t) => {
    const { resolver, server } = await world(t, { [HOST]: { A: ['192.0.2.1'], delayMs: 50 } })
    const { signal } = new AbortController()
    const answers = await Promise.all(
      [undefined, signal, undefined].map((one) => resolver.resolve(HOST, 'A', one)),
    )
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set(['found']))
    assert.equal(server.queries.length, 1)
  })

  it('goes on when one of them leaves', async (t) => {
    const { resolver, server } = await world(t, { [HOST]: { A: ['192.0.2.1'], delayMs: 50 } })
    const impatient = new AbortController()
    const patient = new AbortController()
    const first = resolver.resolve(HOST, 'A', impatient.signal)
    const second = resolver.resolve(HOST, 'A', patient.signal)
    const reason = new Error('enough')
    impatient.abort(reason)
    await assert.rejects(first, (error) => error === reason)
    assert.equal((await second).status, 'found')
    assert.equal(server.queries.length, 1)
  })

  it('is taken back when the last of them leaves, and put again for the next', async (t) => {
    const { resolver, server } = await world(t, {
      [HOST]: { A: ['192.0.2.1'], misbehave: 'drop', times: 1 },
    })
    const controller = new AbortController()
    const first = resolver.resolve(HOST, 'A', controller.signal)
    while (server.queries.length === 0) await new Promise((resolve) => setImmediate(resolve))
    controller.abort()
    const next = resolver.resolve(HOST, 'A')
    await assert.rejects(first)
    assert.equal((await next).status, 'found')
    assert.equal(server.queries.length, 2)
  })

  it('is not put for somebody who has left already', async (t) => {
    const { resolver, server } = await world(t, { [HOST]: { A: ['192.0.2.1'] } })
    await assert.rejects(resolver.resolve(HOST, 'A', AbortSignal.abort()))
    assert.equal(server.queries.length, 0)
  })
})
