import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLease } from '../../lib/cache/lease.ts'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { createTestClock } from './contract.ts'

describe('a lease', () => {
  const open = () => {
    const clock = createTestClock()
    const store = createMemoryCache({ clock, maxEntries: 10 })
    const lease = () => createLease({ store, key: 'work', ttlSeconds: 10 })
    return { clock, store, one: lease(), other: lease() }
  }

  it('is one holder’s, until it is given back', async () => {
    const { one, other } = open()
    assert.equal(await one.take(), true)
    assert.equal(await other.take(), false)
    assert.equal(await one.take(), false, 'not even again by the same')
    await one.release()
    assert.equal(await other.take(), true)
  })

  it('runs out, unless it is renewed', async () => {
    const { clock, one, other } = open()
    await one.take()
    clock.pass(9)
    assert.equal(await one.renew(), true)
    clock.pass(9)
    assert.equal(await other.take(), false)
    clock.pass(1)
    assert.equal(await other.take(), true)
    assert.equal(await one.renew(), false)
  })

  it('is neither renewed nor given back by another', async () => {
    const { clock, one, other } = open()
    await one.take()
    clock.pass(10)
    await other.take()
    await one.release()
    assert.equal(await one.renew(), false)
    assert.equal(await one.take(), false)
    assert.equal(await other.renew(), true)
  })
})
