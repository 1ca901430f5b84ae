import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { createFileCache } from '../../lib/cache/file.ts'
import { createLease } from '../../lib/cache/lease.ts'
import { TempError } from '../../lib/errors.ts'
import type { KeepingPolicyFinder } from '../../lib/mta-sts/finder.ts'
import {
  createRefresher,
  type Refresher,
  type RefresherOptions,
} from '../../lib/mta-sts/refresh.ts'
import { breakable, openWorld, policyText, recordOf, serve, type World } from './world.ts'

const DOMAIN = 'example.com'
const ENFORCE = policyText('enforce', 'mx.example.com')
const HOUR = 3600
const DAY = 24 * HOUR

function refresherOf(
  t: TestContext,
  world: World,
  keeper: KeepingPolicyFinder,
  options: Partial<RefresherOptions> = {},
): Refresher {
  const refresher = createRefresher({
    keeper,
    lease: createLease({ store: world.store, key: 'mta-sts/refresh', ttlSeconds: 60 }),
    log: (level, message) => world.log.push(`${level} ${message}`),
    random: () => 0,
    everyMs: 40,
    ...options,
  })
  t.after(() => refresher.close())
  return refresher
}
const expiryOf = async (finder: KeepingPolicyFinder): Promise<number | undefined> =>
  (await finder.list())[0]?.expiresAtMs

describe('the refresh of kept policies', () => {
  it('S22: fetches each policy once a day, and so it is not over', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    const refresher = refresherOf(t, world, finder)
    await finder.find(DOMAIN)
    world.clock.pass(DAY - 1)
    assert.equal((await refresher.run())?.['not-due'], 1)
    world.clock.pass(1)
    assert.equal((await refresher.run())?.fetched, 1)
    assert.equal(await expiryOf(finder), world.clock.nowMs() + 604_800_000)
    assert.equal(world.asked.length, 2)
    assert.equal((await refresher.run())?.['not-due'], 1)
  })

  it('S22: by chance up to a fifth of a day earlier, and in half the time of a policy that is short', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    world.publish('b.example', '1', policyText('enforce', 'mx.b.example', 4 * HOUR))
    const finder = world.finder()
    const refresher = refresherOf(t, world, finder, { random: () => 0.99999 })
    await finder.find(DOMAIN)
    await finder.find('b.example')
    world.clock.pass(2 * HOUR)
    assert.deepEqual(await refresher.run(), {
      fetched: 1,
      failed: 0,
      'not-due': 1,
      dropped: 0,
      gone: 0,
    })
    world.clock.pass(17.3 * HOUR)
    const round = await refresher.run()
    assert.deepEqual([round?.fetched, round?.gone], [1, 1])
  })

  it('S39: even when DNS is lost, or says that there is no record any more', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    const refresher = refresherOf(t, world, finder)
    await finder.find(DOMAIN)
    for (const entry of [
      { misbehave: 'servfail' as const },
      undefined,
      { TXT: ['v=STSv1; id=1', 'v=STSv1; id=2'], ttl: 0 },
    ]) {
      world.record(DOMAIN, entry)
      world.clock.pass(DAY)
      assert.equal((await refresher.run())?.fetched, 1)
      assert.equal(await expiryOf(finder), world.clock.nowMs() + 604_800_000)
    }
    assert.equal((await finder.list())[0]?.id, '1')
  })

  it('under the id that DNS says then', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    await finder.find(DOMAIN)
    world.publish(DOMAIN, '2', policyText('testing', 'mx.example.com'))
    world.clock.pass(DAY)
    await refresherOf(t, world, finder).run()
    assert.deepEqual(
      (await finder.list()).map(({ id, mode }) => [id, mode]),
      [['2', 'testing']],
    )
  })

  it('S23: one that fails is a warning, unless the policy is none; it stays and is tried again', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    world.publish('b.example', '1', policyText('none', 'mx.b.example'))
    const finder = world.finder()
    const refresher = refresherOf(t, world, finder)
    await finder.find(DOMAIN)
    await finder.find('b.example')
    const before = await expiryOf(finder)
    for (const domain of [DOMAIN, 'b.example'])
      world.publish(domain, '1', (_request, response) => response.writeHead(500).end())
    world.clock.pass(DAY)
    assert.equal((await refresher.run())?.failed, 2)
    const said = world.log.filter((line) => line.includes('cannot be fetched')).toSorted()
    assert.equal(said.length, 2)
    assert.match(said[0] ?? '', /^info b\.example: /)
    assert.match(said[1] ?? '', /^warn example\.com: .*status 500.*stays in force$/)
    assert.equal((await refresher.run())?.['not-due'], 2, 'five minutes between two tries')
    world.clock.pass(301)
    assert.equal((await refresher.run())?.failed, 2)
    assert.equal(await expiryOf(finder), before, 'a failure lengthens nothing')
    // S36: it is told in reports, for as long as nothing better is known.
    const outcome = await finder.find(DOMAIN)
    assert.deepEqual(outcome.failure, {
      resultType: 'sts-policy-fetch-error',
      reason: 'status 500',
    })
    world.publish(DOMAIN, '1', ENFORCE)
    world.clock.pass(301)
    assert.equal((await refresher.run())?.fetched, 1)
    assert.equal((await finder.find(DOMAIN)).failure, undefined)
  })

  it('what was not used for half a year is dropped, and what is used is not', async (t) => {
    const world = await openWorld(t)
    const YEAR = policyText('enforce', 'mx.example.com', 365 * DAY)
    world.publish(DOMAIN, '1', YEAR)
    world.publish('b.example', '1', YEAR)
    const finder = world.finder()
    const refresher = refresherOf(t, world, finder)
    await finder.find(DOMAIN)
    await finder.find('b.example')
    for (let month = 0; month < 6; month += 1) {
      world.clock.pass(30 * DAY)
      assert.equal((await refresher.run())?.fetched, 2)
      await finder.find(DOMAIN)
      await finder.close()
    }
    world.clock.pass(DAY)
    const round = await refresher.run()
    assert.deepEqual([round?.fetched, round?.dropped], [1, 1])
    assert.deepEqual(
      (await finder.list()).map(({ domain }) => domain),
      [DOMAIN],
    )
  })

  it('whose use is not known counts as used now', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', policyText('enforce', 'mx.example.com', 365 * DAY))
    const finder = world.finder()
    await finder.find(DOMAIN)
    await finder.close()
    await world.store.delete(`mta-sts/used/${DOMAIN}`)
    world.clock.pass(200 * DAY)
    assert.equal((await refresherOf(t, world, finder).run())?.fetched, 1)
    await finder.close()
    assert.equal((await finder.list())[0]?.lastUsedMs, world.clock.nowMs())
  })

  it('a policy of mode none is dropped when the record is gone, and not when DNS only fails', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', policyText('none', 'mx.example.com'))
    const finder = world.finder()
    const refresher = refresherOf(t, world, finder)
    await finder.find(DOMAIN)
    world.record(DOMAIN, { misbehave: 'servfail' })
    world.clock.pass(DAY)
    assert.equal((await refresher.run())?.fetched, 1)
    world.record(DOMAIN, undefined)
    world.clock.pass(DAY)
    assert.equal((await refresher.run())?.dropped, 1)
    assert.deepEqual(await finder.list(), [])
  })

  it('S40: of more policies than the limit those go that were not used for longest', async (t) => {
    const world = await openWorld(t)
    const finder = world.finder()
    for (const name of ['a', 'b', 'c', 'd']) {
      world.publish(`${name}.b.example`, '1', ENFORCE)
      await finder.find(`${name}.b.example`)
      world.clock.pass(1)
    }
    await finder.close()
    assert.equal((await refresherOf(t, world, finder, { maxStored: 2 }).run())?.dropped, 2)
    assert.deepEqual(
      (await finder.list()).map(({ domain }) => domain),
      ['c.b.example', 'd.b.example'],
    )
    assert.match(world.log.join('\n'), /warn MTA-STS: more than 2 policies: 2 are dropped/)
  })

  it('S40: no more at one time than the limit', async (t) => {
    const world = await openWorld(t)
    const finder = world.finder()
    const domains = Array.from({ length: 8 }, (_, at) => `d${at}.b.example`)
    let [now, most] = [0, 0]
    const waiting: (() => void)[] = []
    for (const domain of domains) {
      world.publish(domain, '1', ENFORCE)
      await finder.find(domain)
      world.publish(domain, '1', (request, response) => {
        now += 1
        most = Math.max(most, now)
        waiting.push(() => {
          now -= 1
          serve(ENFORCE)(request, response)
        })
      })
    }
    world.clock.pass(DAY)
    const running = refresherOf(t, world, finder, { atOnce: 3 }).run()
    for (let answered = 0; answered < domains.length; answered += 1) {
      while (waiting.length < Math.min(3, domains.length - answered))
        await new Promise(setImmediate)
      waiting.shift()?.()
    }
    assert.equal((await running)?.fetched, 8)
    assert.equal(most, 3)
  })

  it('a round that finds the store away is a TempError, and the next one goes', async (t) => {
    const world = await openWorld(t)
    const store = breakable(world.store)
    const finder = world.finder({ store })
    world.publish(DOMAIN, '1', ENFORCE)
    await finder.find(DOMAIN)
    const lease = createLease({ store, key: 'mta-sts/refresh', ttlSeconds: 60 })
    const refresher = refresherOf(t, world, finder, { lease })
    store.broken = true
    await assert.rejects(refresher.run(), TempError)
    store.broken = false
    world.clock.pass(DAY)
    assert.equal((await refresher.run())?.fetched, 1)
  })

  it('one entry that is damaged does not hinder the others', async (t) => {
    const world = await openWorld(t)
    const finder = world.finder()
    world.publish(DOMAIN, '1', ENFORCE)
    await finder.find(DOMAIN)
    await world.store.set('mta-sts/policy/bad.example', 'rubbish', 10 * DAY)
    world.clock.pass(DAY)
    assert.equal((await refresherOf(t, world, finder).run())?.fetched, 1)
    assert.match(world.log.join('\n'), /warn MTA-STS: bad\.example is not refreshed: .*damaged/)
    assert.deepEqual(
      (await finder.list()).map(({ domain }) => domain),
      [DOMAIN],
    )
  })

  it('runs by itself once started, and not after it is closed', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    await finder.find(DOMAIN)
    const refresher = refresherOf(t, world, finder, { everyMs: 20 })
    const keptAlive = setInterval(() => {}, 1000) // its own timers keep no process alive
    t.after(() => clearInterval(keptAlive))
    refresher.start()
    for (let times = 2; times < 5; times += 1) {
      world.clock.pass(DAY)
      while (world.asked.length < times) await new Promise(setImmediate)
    }
    await refresher.close()
    world.clock.pass(DAY)
    assert.equal(await refresher.run(), undefined)
    assert.equal(world.asked.length, 4)
  })
})

describe('of several processes', () => {
  it('one goes the round, and the next one when that is over or has died', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const [one, other] = [world.finder(), world.finder()]
    await one.find(DOMAIN)
    const answers: (() => void)[] = []
    world.publish(DOMAIN, '1', (request, response) => {
      answers.push(() => serve(ENFORCE)(request, response))
    })
    world.clock.pass(DAY)
    const first = refresherOf(t, world, one).run()
    while (answers.length === 0) await new Promise(setImmediate)
    assert.equal(await refresherOf(t, world, other).run(), undefined)
    answers[0]?.()
    assert.equal((await first)?.fetched, 1)
    assert.equal((await refresherOf(t, world, other).run())?.['not-due'], 1)
    const dead = createLease({ store: world.store, key: 'mta-sts/refresh', ttlSeconds: 60 })
    assert.equal(await dead.take(), true)
    assert.equal(await refresherOf(t, world, one).run(), undefined)
    world.clock.pass(60)
    assert.ok(await refresherOf(t, world, one).run())
  })

  it('all of them forget what one has purged, and fetch anew', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const [one, other] = [world.finder(), world.finder()]
    await one.find(DOMAIN)
    await other.find(DOMAIN)
    // The owner changed the policy and forgot the id.
    world.publish(DOMAIN, '1', policyText('testing', 'mx.example.com'))
    world.clock.pass(1)
    await one.purge('Example.COM')
    assert.deepEqual(await one.list(), [])
    world.clock.pass(60)
    world.record(DOMAIN, undefined)
    assert.equal((await other.find(DOMAIN)).status, 'none')
    world.record(DOMAIN, recordOf('1'))
    const outcome = await other.find(DOMAIN)
    assert.equal(outcome.status === 'found' && outcome.policy.mode, 'testing')
    assert.equal((await one.find(DOMAIN)).status, 'found')
    assert.equal(world.asked.length, 2)
  })

  it('a purge ends the back-off of a failed fetch, too', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', (_request, response) => response.writeHead(500).end())
    const finder = world.finder()
    await finder.find(DOMAIN)
    world.publish(DOMAIN, '1', ENFORCE)
    world.clock.pass(1)
    await world.finder().purge(DOMAIN)
    world.clock.pass(60)
    assert.equal((await finder.find(DOMAIN)).status, 'found')
  })

  it('a purge that cannot be written is a TempError', async (t) => {
    const world = await openWorld(t)
    const store = breakable(world.store)
    store.broken = true
    await assert.rejects(world.finder({ store }).purge(DOMAIN), TempError)
  })

  it('they may share a directory, and a restart without DNS and HTTPS keeps every policy', async (t) => {
    const world = await openWorld(t)
    const directory = mkdtempSync(join(tmpdir(), 'hisho-sts-'))
    t.after(() => rmSync(directory, { recursive: true, force: true }))
    const open = () => createFileCache({ directory, clock: world.clock, onDamage: 'fail' })
    world.publish(DOMAIN, '1', ENFORCE)
    const before = world.finder({ store: open() })
    await before.find(DOMAIN)
    await before.close()
    world.publish(DOMAIN, '2', (_request, response) => response.destroy())
    world.record(DOMAIN, { misbehave: 'drop' })
    const after = world.finder({ store: open() })
    const outcome = await after.find(DOMAIN)
    assert.ok(outcome.status === 'found' && outcome.policy.mode === 'enforce')
    const [kept] = await after.list()
    assert.equal(kept?.lastUsedMs, world.clock.nowMs())
    await after.close()
  })
})
