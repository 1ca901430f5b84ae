import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Cache, ExpiringCache } from '../../lib/cache/cache.ts'
import { createLayeredCache } from '../../lib/cache/layered.ts'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { createRedisCache } from '../../lib/cache/redis.ts'
import { redisMissing, startRedis, type RedisServer } from '../support/redis-server.ts'
import { cacheContract, createTestClock, type TestClock } from './contract.ts'
import { createTestLog, type TestLog } from './log.ts'

interface Shared {
  readonly cache: Cache
  readonly redis: ExpiringCache
  readonly clock: TestClock
  readonly log: TestLog
  readonly server: RedisServer
  /** Another mail server that shares the same Redis. */
  readonly other: Cache
}

async function open(
  t: TestContext,
  { args = [], timeoutMs = 2000 }: { args?: string[]; timeoutMs?: number } = {},
): Promise<Shared> {
  const server = await startRedis({ args })
  t.after(() => server.close())
  const clock = createTestClock()
  const log = createTestLog()
  const target = { kind: 'single', url: `redis://127.0.0.1:${server.port}` } as const
  const layers = (timeoutMs: number, log: TestLog) => {
    const redis = createRedisCache({ target, clock, timeoutMs, log })
    const memory = createMemoryCache({ clock, maxEntries: 100 })
    const cache = createLayeredCache({ memory, redis, clock, log, retryAfterMs: 5000 })
    t.after(() => cache.close())
    return { redis, cache }
  }
  // The first connection of a process takes a while on a busy machine; the time-out counts from then on.
  const { redis, cache } = layers(timeoutMs, log)
  const { cache: other } = layers(10_000, createTestLog())
  for (;;) {
    try {
      await redis.set('warm', '', 1)
      break
    } catch {
      await new Promise(setImmediate)
    }
  }
  return { cache, redis, clock, log, server, other }
}

/** More than passes while a test waits for Redis by the test clock. */
const LONG_SECONDS = 1e9

/** Looks up until Redis is seen to be back: each look-up may start a probe. */
async function untilBack({ cache, clock, log }: Shared): Promise<void> {
  while (!log.lines.some((line) => line.startsWith('info'))) {
    clock.pass(5)
    await cache.get('anything')
    await new Promise(setImmediate)
  }
}

const warnings = ({ lines }: TestLog): string[] => lines.filter((line) => line.startsWith('warn'))

describe('memory before Redis', { skip: redisMissing }, () => {
  cacheContract('the layered cache', (t) => open(t))

  it('shares what is set, with the rest of its time', async (t) => {
    const { cache, other, clock } = await open(t)
    await cache.set('a', 'x', 100)
    clock.pass(60)
    assert.equal(await other.get('a'), 'x')
    clock.pass(39)
    assert.equal(await other.get('a'), 'x')
    clock.pass(1)
    assert.equal(await other.get('a'), undefined)
  })

  it('keeps a copy of what it found in Redis', async (t) => {
    const { cache, other, server, log } = await open(t)
    await other.set('a', 'x', 100)
    assert.equal(await cache.get('a'), 'x')
    await server.kill()
    assert.equal(await cache.get('a'), 'x')
    assert.deepEqual(log.lines, [])
  })

  for (const [fault, strike, heal] of [
    ['killed and restarted', 'kill', 'start'],
    ['stopped and goes on', 'pause', 'resume'],
  ] as const) {
    it(`serves from memory while Redis is ${fault}, and says so once`, async (t) => {
      const shared = await open(t, { timeoutMs: 400 })
      const { cache, server, log, redis } = shared
      await cache.set('a', 'x', LONG_SECONDS)
      await server[strike]()
      assert.equal(await cache.get('a'), 'x')
      assert.equal(await cache.get('unknown'), undefined)
      await Promise.all(Array.from({ length: 20 }, (_, i) => cache.set(`${i}`, 'y', LONG_SECONDS)))
      assert.equal(await cache.get('7'), 'y')
      assert.equal(warnings(log).length, 1)
      assert.match(log.lines[0] ?? '', /^warn cache: going on with memory alone: Redis /)

      await server[heal]()
      await untilBack(shared)
      assert.deepEqual(log.lines.slice(1), ['info cache: Redis is back'])
      await cache.set('later', 'z', 100)
      assert.equal(await redis.get('later'), 'z')
    })
  }

  it('lets no look-up wait for a Redis that was silent a moment ago', async () => {
    const clock = createTestClock()
    const log = createTestLog()
    let silent = false
    const redis = createBrokenCache(() => {
      if (silent) return new Promise<never>(() => {})
      silent = true
      throw new Error('no answer')
    })
    const memory = createMemoryCache({ clock, maxEntries: 10 })
    const cache = createLayeredCache({ memory, redis, clock, log })
    for (let i = 0; i < 50; i += 1) {
      await cache.get(`${i}`)
      await cache.set(`${i}`, 'x', 60)
      clock.pass(1) // probes begin, and this loop would never end if it waited for one
    }
    assert.equal(redis.calls(), 2)
  })

  it('probes no more often than it was told to', async () => {
    const clock = createTestClock()
    const log = createTestLog()
    const redis = createBrokenCache()
    const memory = createMemoryCache({ clock, maxEntries: 10 })
    const cache = createLayeredCache({ memory, redis, clock, log, retryAfterMs: 5000 })
    await cache.get('a')
    for (let i = 0; i < 100; i += 1) {
      clock.pass(1)
      await cache.get('a')
      await new Promise(setImmediate)
    }
    assert.equal(redis.calls(), 1 + 20)
    assert.equal(log.lines.length, 1)
  })

  it('serves from memory while Redis is full, and says so once', async (t) => {
    const shared = await open(t)
    const { cache, server, log, clock, redis } = shared
    await server.cli('config', 'set', 'maxmemory-policy', 'noeviction')
    await server.cli('config', 'set', 'maxmemory', '1')
    await cache.set('a', 'x', LONG_SECONDS)
    for (let i = 0; i < 5; i += 1) {
      clock.pass(6)
      assert.equal(await cache.get('a'), 'x')
      await cache.set('b', 'y', 1000)
      await redis.get('any') // by now the probe before it is answered
    }
    assert.equal(log.lines.length, 1)
    assert.match(log.lines[0] ?? '', /OOM/)
    await server.cli('config', 'set', 'maxmemory', '0')
    await untilBack(shared)
    assert.equal(log.lines.length, 2)
  })

  it('has nothing where Redis holds rubbish, and puts it right', async (t) => {
    const { cache, other, server, log } = await open(t)
    await server.cli('set', 'hisho:a', 'rubbish')
    await server.cli('lpush', 'hisho:b', 'rubbish')
    for (const key of ['a', 'b']) {
      assert.equal(await cache.get(key), undefined)
      await cache.set(key, 'x', 60)
      assert.equal(await other.get(key), 'x')
    }
    assert.equal(log.lines.length, 2)
    assert.ok(log.lines.every((line) => line.includes('foreign value')))
  })

  it('leaves nothing in Redis that was replaced or deleted while Redis was silent', async (t) => {
    const shared = await open(t, { timeoutMs: 400 })
    const { cache, redis, server } = shared
    await cache.set('replaced', 'old', LONG_SECONDS)
    await cache.set('deleted', 'old', LONG_SECONDS)
    server.pause()
    await cache.set('replaced', 'new', LONG_SECONDS)
    await cache.delete('deleted')
    server.resume()
    await untilBack(shared)
    assert.notEqual(await redis.get('replaced'), 'old')
    assert.equal(await redis.get('deleted'), undefined)
    assert.equal(await cache.get('replaced'), 'new')
  })

  it('says nothing when it is closed while a command is under way', async (t) => {
    const { cache, server, log } = await open(t, { timeoutMs: 100 })
    server.pause()
    const pending = cache.get('a')
    await cache.close()
    assert.equal(await pending, undefined)
    assert.deepEqual(log.lines, [])
  })
})

function createBrokenCache(
  behave: () => Promise<never> = () => Promise.reject(new Error('broken')),
): ExpiringCache & { calls(): number } {
  let calls = 0
  const fail = async (): Promise<never> => {
    calls += 1
    return behave()
  }
  return {
    get: fail,
    getEntry: fail,
    set: fail,
    delete: fail,
    close: async () => {},
    calls: () => calls,
  }
}
