import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { createKekCache } from '../../lib/ibe/kek-cache.ts'
import type { Held, KekCache } from '../../lib/ibe/kek-cache.ts'
import { fakeClock } from './fake-clock.ts'
import type { FakeClock } from './fake-clock.ts'

interface World {
  readonly cache: KekCache<number>
  readonly clock: FakeClock
  /** What `make` gave so far. */
  readonly made: number[]
  take(name: string): Promise<number>
}

const LIMITS = { maxEntries: 3, maxAgeMs: 600_000, maxUses: 1000 }

function world(limits: Partial<typeof LIMITS> = {}): World {
  const clock = fakeClock()
  const cache = createKekCache<number>(clock, { ...LIMITS, ...limits })
  const made: number[] = []
  const make = async (): Promise<Held<number>> => {
    const number = made.length + 1
    made.push(number)
    return { secret: new SecretBytes(Uint8Array.of(number)), open: number }
  }
  return {
    cache,
    clock,
    made,
    async take(name) {
      const { secret, open } = await cache.take(name, make)
      assert.deepEqual(secret.bytes, Uint8Array.of(open))
      secret.wipe()
      return open
    },
  }
}

describe('the cache of KEKs', () => {
  it('gives the same secret for ten minutes, and then another', async () => {
    const { clock, take } = world()
    assert.equal(await take('a'), 1)
    clock.passMs(599_999)
    assert.equal(await take('a'), 1)
    clock.passMs(1)
    assert.equal(await take('a'), 2)
  })

  it('counts the age from before the work, and not from when it ended', async () => {
    const { cache, clock, take } = world()
    await cache.take('a', async () => {
      clock.passMs(599_999)
      return { secret: new SecretBytes(new Uint8Array(1)), open: 0 }
    })
    clock.passMs(1)
    assert.equal(await take('a'), 1)
  })

  it('makes another after 1,000 uses, one after the other or all at once', async () => {
    const { take, made } = world()
    for (let use = 1; use <= 1000; use++) assert.equal(await take('a'), 1)
    assert.equal(await take('a'), 2)
    const crowd = await Promise.all(Array.from({ length: 2500 }, () => take('b')))
    const uses = new Map<number, number>()
    for (const one of crowd) uses.set(one, (uses.get(one) ?? 0) + 1)
    assert.deepEqual(
      [...uses.values()].sort((x, y) => y - x),
      [1000, 1000, 500],
    )
    assert.equal(made.length, 5)
  })

  it('makes one secret for all who ask at the same time, and one for each name', async () => {
    const { take, made } = world()
    assert.deepEqual(await Promise.all([take('a'), take('a'), take('b'), take('a')]), [1, 1, 2, 1])
    assert.equal(made.length, 2)
  })

  it('gives a failure to all who wait for it, and does not keep it', async () => {
    const { cache, take } = world()
    let calls = 0
    const fail = async (): Promise<Held<number>> => {
      calls++
      throw new Error('no')
    }
    const outcomes = await Promise.allSettled([cache.take('a', fail), cache.take('a', fail)])
    assert.deepEqual(
      outcomes.map((one) => one.status),
      ['rejected', 'rejected'],
    )
    assert.equal(calls, 1)
    assert.equal(await take('a'), 1)
  })

  it('is bounded: the least recently used goes first', async () => {
    const { cache, take } = world()
    for (const name of ['a', 'b', 'c', 'a', 'd']) await take(name)
    assert.equal(cache.size, 3)
    assert.equal(await take('a'), 1)
    assert.equal(await take('d'), 4)
    assert.equal(await take('b'), 5, 'b had gone')
  })

  it('keeps nothing across a clear, not even what is being made', async () => {
    const { cache, take } = world()
    const making = take('a')
    cache.clear()
    assert.equal(await making, 1, 'whoever asked still gets it')
    assert.equal(cache.size, 0)
    assert.equal(await take('a'), 2)
  })

  it('does not give out a secret from the future after the clock was set back', async () => {
    const { clock, take } = world()
    await take('a')
    clock.passMs(-1)
    assert.equal(await take('a'), 2)
  })

  it('wipes what it drops: by age, by number, by use and by clear', async (t) => {
    const wiped: number[] = []
    const original = SecretBytes.prototype.wipe
    t.mock.method(SecretBytes.prototype, 'wipe', function (this: SecretBytes) {
      if (!this.wiped) wiped.push(this.bytes[0]!)
      original.call(this)
    })
    const { cache, clock } = world({ maxUses: 2 })
    let next = 0
    const take = async (name: string): Promise<void> => {
      const make = async (): Promise<Held<number>> => ({
        secret: new SecretBytes(Uint8Array.of(++next)),
        open: 0,
      })
      await cache.take(name, make) // the caller's copy is not wiped here, so all that is wiped is the cache's
    }
    for (const name of ['a', 'b', 'c', 'd']) await take(name)
    assert.deepEqual(wiped.splice(0), [1], 'the oldest of four in room for three')
    for (const name of ['b', 'b']) await take(name)
    assert.deepEqual(wiped.splice(0), [2], 'its uses were up')
    clock.passMs(600_000)
    cache.sweep()
    assert.deepEqual(
      wiped.splice(0).sort((x, y) => x - y),
      [3, 4, 5],
    )
    assert.equal(cache.size, 0)
    await take('e')
    cache.clear()
    assert.deepEqual(wiped.splice(0), [6])
  })
})
