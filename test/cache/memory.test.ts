import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { clampTtl } from '../../lib/cache/ttl.ts'
import { sharedCacheContract, createTestClock } from './contract.ts'

sharedCacheContract('memory', async () => {
  const clock = createTestClock()
  return { clock, cache: createMemoryCache({ clock, maxEntries: 1000 }) }
})

describe('the cache in memory', () => {
  it('forgets the entry that was not used for longest when it is full', async () => {
    const cache = createMemoryCache({ clock: createTestClock(), maxEntries: 3 })
    for (const key of ['a', 'b', 'c']) await cache.set(key, key, 60)
    await cache.get('a')
    await cache.set('b', 'again', 60)
    await cache.set('d', 'd', 60)
    assert.equal(await cache.get('c'), undefined)
    for (const key of ['a', 'b', 'd']) assert.notEqual(await cache.get(key), undefined)
  })

  it('is bounded by the length of its values too', async () => {
    const cache = createMemoryCache({ clock: createTestClock(), maxEntries: 9, maxCharacters: 10 })
    await cache.set('a', 'x'.repeat(6), 60)
    await cache.set('a', 'x'.repeat(5), 60)
    await cache.set('b', 'x'.repeat(5), 60)
    assert.deepEqual((await cache.keys('')).toSorted(), ['a', 'b'])
    await cache.delete('b')
    await cache.set('c', 'x'.repeat(5), 60)
    await cache.set('d', 'x', 60)
    assert.deepEqual((await cache.keys('')).toSorted(), ['c', 'd'])
    await cache.set('e', 'x'.repeat(11), 60)
    assert.deepEqual(await cache.keys(''), [])
  })

  it('tells when an entry expires', async () => {
    const clock = createTestClock(1000)
    const cache = createMemoryCache({ clock, maxEntries: 3 })
    await cache.set('a', 'x', 2.5)
    assert.deepEqual(await cache.getEntry('a'), { value: 'x', expiresAtMs: 3500 })
  })

  it('sets no timer', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate'] })
    const clock = createTestClock()
    const cache = createMemoryCache({ clock, maxEntries: 3 })
    await cache.set('a', 'x', 31_557_600)
    t.mock.timers.runAll()
    assert.equal(await cache.get('a'), 'x')
  })
})

describe('a TTL with a floor and a ceiling', () => {
  it('is left as it is between them', () => {
    const limits = { floorSeconds: 60, ceilingSeconds: 86_400 }
    assert.deepEqual(
      [0, 60, 300, 86_400, 99_999].map((ttl) => clampTtl(ttl, limits)),
      [60, 60, 300, 86_400, 86_400],
    )
  })
})
