import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createFileCache } from '../../lib/cache/file.ts'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { TempError } from '../../lib/errors.ts'
import { createFailureRate } from '../../lib/protection/failure-rate.ts'
import { createReplayMemory } from '../../lib/protection/replay.ts'
import { fakeClock } from '../ibe/fake-clock.ts'

const WEEK = 7 * 86_400
const FIRST = { sender: 'ann@a.example', messageId: '<1@a.example>' }

function memory() {
  const clock = fakeClock()
  const store = createMemoryCache({ clock, maxEntries: 100 })
  return { clock, store, replays: createReplayMemory({ store, clock }) }
}

describe('the memory of what was opened', () => {
  it('C8: the same under the same sender and Message-ID is the same mail once more', async () => {
    const { replays } = memory()
    assert.equal(await replays.meet('k', FIRST, WEEK), 'first')
    assert.equal(await replays.meet('k', FIRST, WEEK), 'again')
    assert.equal(await replays.meet('k', { ...FIRST, sender: 'Ann@A.example' }, WEEK), 'again')
  })

  for (const [what, other] of [
    ['another sender', { ...FIRST, sender: 'mallory@c.example' }],
    ['the null sender', { ...FIRST, sender: '' }],
    ['another Message-ID', { ...FIRST, messageId: '<2@a.example>' }],
    ['no Message-ID', { ...FIRST, messageId: '' }],
  ] as const)
    it(`C8: under ${what} it is a replay, and stays one`, async () => {
      const { replays } = memory()
      await replays.meet('k', FIRST, WEEK)
      assert.equal(await replays.meet('k', other, WEEK), 'replay')
      assert.equal(await replays.meet('k', other, WEEK), 'replay')
      assert.equal(await replays.meet('k', FIRST, WEEK), 'again')
      assert.equal(await replays.meet('another key', other, WEEK), 'first')
    })

  it('C8: it is forgotten after its days', async () => {
    const { replays, clock } = memory()
    await replays.meet('k', FIRST, WEEK)
    clock.passMs(WEEK * 1000 + 1)
    assert.equal(await replays.meet('k', { ...FIRST, messageId: '<2>' }, WEEK), 'first')
  })

  it('C8: of several processes that meet it in one moment one is the first, and the others agree with it', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'hisho-replay-'))
    const clock = fakeClock(Date.now())
    try {
      const processes = Array.from({ length: 4 }, () =>
        createReplayMemory({ store: createFileCache({ directory, clock }), clock }),
      )
      const met = await Promise.all(processes.map((one) => one.meet('k', FIRST, WEEK)))
      assert.deepEqual(met.toSorted(), ['again', 'again', 'again', 'first'])
      const forged = { ...FIRST, messageId: '<2>' }
      assert.equal(await processes[0]?.meet('k', forged, WEEK), 'replay')
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })

  it('C8: a store that does not answer is not taken for one that has seen nothing', async () => {
    const clock = fakeClock()
    const away = async () => {
      throw new TempError('cache/unreachable', 'away')
    }
    const replays = createReplayMemory({ store: { get: away, setIfAbsent: away }, clock })
    await assert.rejects(replays.meet('k', FIRST, WEEK), TempError)
    const busy = createReplayMemory({
      store: { get: async () => undefined, setIfAbsent: async () => false },
      clock,
    })
    await assert.rejects(busy.meet('k', FIRST, WEEK), TempError)
  })

  it('C30: nothing of the message can be read in the store', async () => {
    const { replays, store } = memory()
    await replays.meet('k', FIRST, WEEK)
    const keys = await store.keys('')
    const kept = [...keys, ...(await Promise.all(keys.map((key) => store.get(key))))].join()
    assert.doesNotMatch(kept, /ann|a\.example|<1/)
  })

  it('what is over is swept once a day, and a failure of that harms nothing', async () => {
    const { store, clock } = memory()
    let sweeps = 0
    const replays = createReplayMemory({
      store,
      clock,
      sweep: async () => {
        sweeps++
        throw new Error('no')
      },
    })
    await replays.meet('1', FIRST, WEEK)
    clock.passMs(86_400_001)
    await replays.meet('2', FIRST, WEEK)
    await replays.meet('3', FIRST, WEEK)
    assert.equal(sweeps, 1)
  })
})

describe('a peer whose mail does not open', () => {
  it('C11: is not looked at any more for the rest of a minute, and then is', () => {
    const clock = fakeClock()
    const rate = createFailureRate(clock)
    for (let count = 0; count < 3; count++) {
      assert.equal(rate.isReached('192.0.2.1', 3), false)
      rate.failed('192.0.2.1')
    }
    assert.equal(rate.isReached('192.0.2.1', 3), true)
    assert.equal(rate.isReached('192.0.2.2', 3), false)
    assert.equal(rate.isReached('192.0.2.1', 0), false)
    clock.passMs(60_000)
    assert.equal(rate.isReached('192.0.2.1', 3), false)
  })

  it('C11: has a whole /64, however its address is written', () => {
    const rate = createFailureRate(fakeClock())
    rate.failed('2001:db8:0:1::1')
    assert.equal(rate.isReached('2001:db8::1:aaaa:0:0:2', 1), true)
    assert.equal(rate.isReached('2001:DB8:0:1:ffff::', 1), true)
    assert.equal(rate.isReached('2001:db8:0:2::1', 1), false)
    assert.equal(rate.isReached('::1', 1), false)
    rate.failed('::ffff:192.0.2.1')
    assert.equal(rate.isReached('::ffff:192.0.2.2', 1), false)
  })

  it('C11: many of them do not fill the memory', () => {
    const rate = createFailureRate(fakeClock(), 10)
    for (let host = 0; host < 1000; host++) rate.failed(`192.0.2.${host}`)
    assert.equal(rate.isReached('192.0.2.999', 1), true)
  })
})
