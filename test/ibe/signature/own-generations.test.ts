import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TempError } from '../../../lib/errors.ts'
import { formatParameters } from '../../../lib/ibe/parameters.ts'
import { createOwnGenerations } from '../../../lib/ibe/signature/own-generations.ts'
import { fakeClock } from '../fake-clock.ts'

const publicKey = new Uint8Array(96).fill(0x81)
const record = (scheme: 'bf' | 'cc', n: number, more = ''): string =>
  formatParameters({ version: '2.0', scheme, n, period: 'month', publicKey }) + more

function world(texts: readonly string[], ttlSeconds = 3600) {
  const clock = fakeClock()
  const state = { texts, failing: false, asked: 0 }
  const generations = createOwnGenerations({
    clock,
    publishedRecords: async () => {
      state.asked++
      if (state.failing) throw new TempError('dns/timeout', 'no answer')
      return { texts: state.texts, ttlSeconds }
    },
  })
  const serials = async () => (await generations('a.example')).map(({ n }) => n)
  return { clock, state, serials }
}

describe('the signing keys that the world can see', () => {
  it('are the good records of a=cc that are not past their x', async () => {
    const texts = [
      record('bf', 9),
      record('cc', 1),
      record('cc', 2, '; x=1'),
      'v=spf1 -all',
      'ver=2.0; a=cc; n=3',
      record('cc', 4, '; x=99999999999'),
    ]
    assert.deepEqual(await world(texts).serials(), [1, 4])
  })

  it('are looked at once a minute, or as often as their TTL says', async () => {
    const { clock, state, serials } = world([record('cc', 1)])
    await Promise.all([serials(), serials()])
    clock.passMs(59_000)
    await serials()
    assert.equal(state.asked, 1)
    clock.passMs(1_000)
    await serials()
    assert.equal(state.asked, 2)
    const short = world([record('cc', 1)], 2)
    await short.serials()
    short.clock.passMs(2_000)
    await short.serials()
    assert.equal(short.state.asked, 2)
  })

  it('a new one counts when no cache can be without it: after the TTL of the records', async () => {
    const { clock, state, serials } = world([record('cc', 1)])
    await serials()
    state.texts = [record('cc', 1), record('cc', 2)]
    clock.passMs(60_000)
    assert.deepEqual(await serials(), [1])
    clock.passMs(3_599_000)
    assert.deepEqual(await serials(), [1])
    clock.passMs(1_000)
    assert.deepEqual(await serials(), [1, 2])
    state.texts = [record('cc', 2)]
    clock.passMs(60_000)
    assert.deepEqual(await serials(), [2])
  })

  it('when a new one takes the place of all others at once, nothing is signed until it can be seen', async () => {
    const { clock, state, serials } = world([record('cc', 1)])
    await serials()
    state.texts = [record('cc', 2)]
    clock.passMs(60_000)
    assert.deepEqual(await serials(), [])
    clock.passMs(3_600_000)
    assert.deepEqual(await serials(), [2])
  })

  it('stay for a day as they were seen last while DNS fails, and then nobody can say', async () => {
    const { clock, state, serials } = world([record('cc', 1)])
    state.failing = true
    await assert.rejects(serials(), { code: 'dns/timeout' })
    state.failing = false
    await serials()
    state.failing = true
    clock.passMs(86_399_000)
    assert.deepEqual(await serials(), [1])
    clock.passMs(1_000)
    await assert.rejects(serials(), { code: 'dns/timeout' })
  })
})
