import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import type { SharedCache } from '../../lib/cache/cache.ts'
import { createLease } from '../../lib/cache/lease.ts'
import { createRedisCache } from '../../lib/cache/redis.ts'
import { TempError } from '../../lib/errors.ts'
import { createRefresher } from '../../lib/mta-sts/refresh.ts'
import { redisMissing, startRedis, type RedisServer } from '../support/redis-server.ts'
import { openWorld, policyText, type World } from './world.ts'

const DOMAIN = 'example.com'
const ENFORCE = policyText('enforce', 'mx.example.com')

describe('policies in Redis', { skip: redisMissing }, () => {
  let server: RedisServer
  before(async () => {
    server = await startRedis()
  })
  after(() => server.close())

  let prefixes = 0
  const opener = (t: TestContext, world: World, at = server) => {
    const keyPrefix = `sts ${(prefixes += 1)}:`
    return (timeoutMs = 5000): SharedCache => {
      const cache = createRedisCache({
        target: { kind: 'single', url: `redis://127.0.0.1:${at.port}` },
        keyPrefix,
        timeoutMs,
        clock: world.clock,
        onDamage: 'fail',
      })
      t.after(() => cache.close())
      return cache
    }
  }
  const callsOf = async (command: string): Promise<number> => {
    const stats = await server.cli('info', 'commandstats')
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  }

  it('are shared by all nodes, and outlive them', async (t) => {
    const world = await openWorld(t)
    const open = opener(t, world)
    world.publish(DOMAIN, '1', ENFORCE)
    await world.finder({ store: open() }).find(DOMAIN)
    world.record(DOMAIN, undefined)
    const outcome = await world.finder({ store: open() }).find(DOMAIN)
    assert.ok(outcome.status === 'found' && outcome.policy.mode === 'enforce')
    assert.equal(world.asked.length, 1)
    const listed = await world.finder({ store: open() }).list()
    assert.deepEqual(
      listed.map(({ domain, mode, id }) => [domain, mode, id]),
      [[DOMAIN, 'enforce', '1']],
    )
  })

  it('cost one round trip for a decision, and none within the next minute', async (t) => {
    const world = await openWorld(t)
    const open = opener(t, world)
    world.publish(DOMAIN, '1', ENFORCE)
    const first = world.finder({ store: open() })
    await first.find(DOMAIN)
    await first.close()
    const finder = world.finder({ store: open() })
    for (const domain of [DOMAIN, 'other.example']) {
      const before = await callsOf('get')
      await finder.find(domain)
      assert.equal((await callsOf('get')) - before, 1)
      for (let times = 0; times < 10; times += 1) await finder.find(domain)
      await finder.close()
      assert.equal((await callsOf('get')) - before, 1)
    }
  })

  it('are applied while Redis is down by who has them at hand, the others wait no longer than for Redis', async (t) => {
    const own = await startRedis()
    t.after(() => own.close())
    const world = await openWorld(t)
    const open = opener(t, world, own)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder({ store: open(300) })
    // The machine may be busy: what could not be written in time is written with a later lookup.
    await finder.find(DOMAIN)
    own.pause()
    world.record(DOMAIN, undefined)
    world.clock.pass(61)
    assert.equal((await finder.find(DOMAIN)).status, 'found')
    await assert.rejects(
      world.finder({ store: open(100) }).find(DOMAIN),
      (error: unknown) => error instanceof TempError && error.code === 'cache/unreachable',
    )
    own.resume()
    await own.kill()
    await own.start() // empty
    for (;;) {
      world.clock.pass(61)
      assert.equal((await finder.find(DOMAIN)).status, 'found')
      if ((await own.cli('keys', '*policy*')) !== '') break
    }
    assert.equal((await world.finder({ store: open() }).find(DOMAIN)).status, 'found')
    assert.equal(world.asked.length, 1)
  })

  it('are refreshed by one node at a time', async (t) => {
    const world = await openWorld(t)
    const open = opener(t, world)
    const domains = Array.from({ length: 12 }, (_, at) => `d${at}.b.example`)
    for (const domain of domains) world.publish(domain, '1', ENFORCE)
    const nodes = Array.from({ length: 4 }, () => {
      const store = open()
      const keeper = world.finder({ store })
      const lease = createLease({ store, key: 'mta-sts/refresh', ttlSeconds: 60 })
      const refresher = createRefresher({ keeper, lease, log: () => {}, everyMs: 10 })
      t.after(() => refresher.close())
      return { keeper, refresher }
    })
    const [first] = nodes
    assert.ok(first)
    await Promise.all(domains.map((domain) => first.keeper.find(domain)))
    world.clock.pass(86_400)
    const rounds = await Promise.all(nodes.map(({ refresher }) => refresher.run()))
    assert.equal(rounds.filter((round) => round !== undefined).length, 1)
    assert.equal(rounds.find((round) => round !== undefined)?.fetched, 12)
    assert.equal(world.asked.length, 24)
  })
})
