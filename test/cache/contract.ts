// What every cache is held to.
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Clock } from '../../lib/clock.ts'
import type { Cache, SharedCache } from '../../lib/cache/cache.ts'

export interface TestClock extends Clock {
  pass(seconds: number): void
}

export function createTestClock(startMs = Date.UTC(2026, 0, 1)): TestClock {
  let now = startMs
  return { nowMs: () => now, pass: (seconds) => (now += seconds * 1000) }
}

export interface World<C extends Cache = Cache> {
  readonly cache: C
  readonly clock: TestClock
}

const YEAR_SECONDS = 31_557_600

/** Each test opens a world of its own, in which the cache is empty. */
export function cacheContract(
  name: string,
  open: (t: TestContext) => Promise<World>,
  skip: string | false = false,
): void {
  describe(`${name} keeps the cache contract`, { skip }, () => {
    it('has nothing that was not set', async (t) => {
      const { cache } = await open(t)
      assert.equal(await cache.get('example.com'), undefined)
    })

    it('gives back what was set, character by character', async (t) => {
      const { cache } = await open(t)
      for (const value of [
        'policy',
        '',
        '{"v":"x","e":1}',
        'null',
        'å\n\0\u{1f4e7}',
        'x'.repeat(100_000),
      ]) {
        await cache.set('example.com', value, 60)
        assert.equal(await cache.get('example.com'), value)
      }
    })

    it('tells keys apart', async (t) => {
      const { cache } = await open(t)
      const keys = ['a', 'A', 'a b', 'a:b', '{a}b', '', 'ключ', '__proto__', '*']
      for (const key of keys) await cache.set(key, `value of ${key}`, 60)
      for (const key of keys) assert.equal(await cache.get(key), `value of ${key}`)
    })

    it('keeps the last of several values and its TTL', async (t) => {
      const { cache, clock } = await open(t)
      await cache.set('example.com', 'first', 1000)
      await cache.set('example.com', 'second', 10)
      assert.equal(await cache.get('example.com'), 'second')
      clock.pass(10)
      assert.equal(await cache.get('example.com'), undefined)
    })

    it('forgets at the end of the TTL and not before', async (t) => {
      const { cache, clock } = await open(t)
      await cache.set('example.com', 'policy', 300)
      clock.pass(299.999)
      assert.equal(await cache.get('example.com'), 'policy')
      clock.pass(0.001)
      assert.equal(await cache.get('example.com'), undefined)
    })

    it('keeps a value for a year', async (t) => {
      const { cache, clock } = await open(t)
      await cache.set('example.com', 'policy', YEAR_SECONDS)
      await new Promise(setImmediate)
      assert.equal(await cache.get('example.com'), 'policy')
      clock.pass(YEAR_SECONDS - 1)
      assert.equal(await cache.get('example.com'), 'policy')
      clock.pass(1)
      assert.equal(await cache.get('example.com'), undefined)
    })

    it('keeps nothing for no time, and forgets what was there', async (t) => {
      const { cache } = await open(t)
      for (const ttlSeconds of [0, -1]) {
        await cache.set('example.com', 'policy', 60)
        await cache.set('example.com', 'policy', ttlSeconds)
        assert.equal(await cache.get('example.com'), undefined)
      }
    })

    it('takes a part of a second', async (t) => {
      const { cache, clock } = await open(t)
      await cache.set('example.com', 'policy', 0.5)
      assert.equal(await cache.get('example.com'), 'policy')
      clock.pass(0.5)
      assert.equal(await cache.get('example.com'), undefined)
    })

    it('refuses a TTL that is no number', async (t) => {
      const { cache } = await open(t)
      await assert.rejects(cache.set('example.com', 'policy', Number.NaN), RangeError)
      await assert.rejects(cache.set('example.com', 'policy', Infinity), RangeError)
    })

    it('forgets what is deleted and nothing else', async (t) => {
      const { cache } = await open(t)
      await cache.set('a.example', 'policy', 60)
      await cache.set('b.example', 'policy', 60)
      await cache.delete('a.example')
      await cache.delete('never.example')
      assert.equal(await cache.get('a.example'), undefined)
      assert.equal(await cache.get('b.example'), 'policy')
    })

    it('serves many at once', async (t) => {
      const { cache } = await open(t)
      const keys = Array.from({ length: 100 }, (_, i) => `${i}.example`)
      await Promise.all(keys.map((key) => cache.set(key, key, 60)))
      assert.deepEqual(await Promise.all(keys.map((key) => cache.get(key))), keys)
    })

    it('can be closed twice', async (t) => {
      const { cache } = await open(t)
      await cache.close()
      await cache.close()
    })
  })
}

/** What those are held to beside that several processes share. */
export function sharedCacheContract(
  name: string,
  open: (t: TestContext) => Promise<World<SharedCache>>,
  skip: string | false = false,
): void {
  cacheContract(name, open, skip)
  describe(`${name} keeps the contract of a shared cache`, { skip }, () => {
    it('lists the keys that begin alike and are not over', async (t) => {
      const { cache, clock } = await open(t)
      assert.deepEqual(await cache.keys(''), [])
      const keys = ['p/a', 'p/b c', 'p/*', 'p/[x]', 'p/\\', 'p/ключ', 'p/']
      for (const key of keys) await cache.set(key, `value of ${key}`, 60)
      for (const key of ['p', 'q/a', 'xp/a', 'P/a', '*', '']) await cache.set(key, 'x', 60)
      await cache.set('p/short', 'x', 10)
      await cache.set('p/gone', 'x', 60)
      await cache.delete('p/gone')
      clock.pass(10)
      assert.deepEqual([...(await cache.keys('p/'))].sort(), [...keys].sort())
      assert.deepEqual(await cache.keys('p/[x'), ['p/[x]'])
      assert.deepEqual(await cache.keys('p/?'), [])
      assert.equal((await cache.keys('')).length, keys.length + 6)
    })

    it('lists a thousand keys, each once', async (t) => {
      const { cache } = await open(t)
      const keys = Array.from({ length: 900 }, (_, i) => `${i}.example`)
      await Promise.all(keys.map((key) => cache.set(key, key, 60)))
      assert.deepEqual([...(await cache.keys(''))].sort(), keys.sort())
    })

    it('sets what is absent and leaves alone what is there', async (t) => {
      const { cache, clock } = await open(t)
      assert.equal(await cache.setIfAbsent('lease', 'mine', 10), true)
      assert.equal(await cache.setIfAbsent('lease', 'yours', 1000), false)
      clock.pass(9.999)
      assert.equal(await cache.setIfAbsent('lease', 'yours', 1000), false)
      assert.equal(await cache.get('lease'), 'mine')
      clock.pass(0.001)
      assert.equal(await cache.get('lease'), undefined)
    })

    it('sets what is over, with its own TTL', async (t) => {
      const { cache, clock } = await open(t)
      await cache.set('lease', 'old', 10)
      clock.pass(10)
      assert.equal(await cache.setIfAbsent('lease', 'new', 20), true)
      assert.equal(await cache.get('lease'), 'new')
      assert.equal(await cache.setIfAbsent('lease', 'other', 20), false)
      clock.pass(20)
      assert.equal(await cache.get('lease'), undefined)
      await cache.delete('lease')
      assert.equal(await cache.setIfAbsent('lease', 'again', 20), true)
    })

    it('lets one of many have what is absent, and what is over', async (t) => {
      const { cache, clock } = await open(t)
      for (const round of [1, 2]) {
        const names = Array.from({ length: 20 }, (_, i) => `${round} ${i}`)
        const won = await Promise.all(names.map((name) => cache.setIfAbsent('lease', name, 10)))
        assert.equal(won.filter(Boolean).length, 1)
        assert.equal(await cache.get('lease'), names[won.indexOf(true)])
        clock.pass(10)
      }
    })
  })
}
