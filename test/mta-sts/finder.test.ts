import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TempError } from '../../lib/errors.ts'
import type { StsOutcome } from '../../lib/mta-sts/outcome.ts'
import type { ZoneEntry } from '../support/dns-server.ts'
import { breakable, openWorld, policyText, recordOf, serve } from './world.ts'

const DOMAIN = 'example.com'
const NONE: StsOutcome = { status: 'none', failure: undefined }
const ENFORCE = policyText('enforce', 'mx.example.com')
const TESTING = policyText('testing', 'mx.example.com')
const DAY = 86_400

const found = (outcome: StsOutcome): Extract<StsOutcome, { status: 'found' }> => {
  assert.ok(outcome.status === 'found', JSON.stringify(outcome))
  return outcome
}
const brief = (outcome: StsOutcome): string =>
  outcome.status === 'none'
    ? `none ${outcome.failure?.resultType ?? ''}`.trim()
    : `${outcome.policy.mode} ${outcome.id} ${outcome.failure?.resultType ?? ''}`.trim()

describe('the policy of a domain', () => {
  it('S2 S6: the record leads to the policy at the well-known place of the policy host', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const { policy, id, failure } = found(await world.finder().find(DOMAIN))
    assert.deepEqual(
      { mode: policy.mode, mx: policy.mx, maxAgeSeconds: policy.maxAgeSeconds, id, failure },
      {
        mode: 'enforce',
        mx: ['mx.example.com'],
        maxAgeSeconds: 604_800,
        id: '1',
        failure: undefined,
      },
    )
    assert.deepEqual(policy.lines, ENFORCE.split('\r\n').slice(0, -1))
    assert.equal(world.asked.length, 1)
    const [request] = world.asked
    assert.deepEqual(
      [request?.method, request?.path, request?.host],
      ['GET', '/.well-known/mta-sts.txt', 'mta-sts.example.com'],
    )
  })

  it('S37: the policy host is asked with its name in SNI', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    await world.finder().find(DOMAIN)
    assert.equal(world.asked[0]?.serverName, 'mta-sts.example.com')
  })

  it('S17: nothing of HTTP caching is asked for or believed', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', (_request, response) =>
      response
        .writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'max-age=99999999' })
        .end(ENFORCE),
    )
    const finder = world.finder()
    await finder.find(DOMAIN)
    world.publish(DOMAIN, '2', TESTING)
    assert.equal(brief(await finder.find(DOMAIN)), 'testing 2')
    for (const { headers } of world.asked)
      assert.deepEqual(
        Object.keys(headers).filter((name) => /^if-|cache|etag/.test(name)),
        [],
      )
  })

  it('a domain without record or policy has none, and costs no fetch', async (t) => {
    const world = await openWorld(t)
    assert.deepEqual(await world.finder().find(DOMAIN), NONE)
    assert.equal(world.asked.length, 0)
  })

  it('S3: more than one record, or a malformed one, is no policy and no fetch', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    for (const TXT of [
      ['v=STSv1; id=1;', 'v=STSv1; id=2;'],
      ['v=STSv1; id=;'],
      ['v=STSv1;'],
      ['id=1; v=STSv1'],
    ]) {
      world.record(DOMAIN, { TXT, ttl: 0 })
      assert.deepEqual(await finder.find(DOMAIN), NONE)
    }
    assert.equal(world.asked.length, 0)
  })

  it('S3: an unrelated TXT record at the same name changes nothing (go-mtasts, KumoMTA)', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    world.record(DOMAIN, { TXT: ['v=spf1 -all', 'v=STSv1; id=1;', 'hello'], ttl: 0 })
    assert.equal(brief(await world.finder().find(DOMAIN)), 'enforce 1')
  })

  it('S5: a record in several strings is one', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    world.record(DOMAIN, { TXT: [['v=STS', 'v1; id=', '12', '34;']], ttl: 0 })
    assert.equal(brief(await world.finder().find(DOMAIN)), 'enforce 1234')
  })

  it('S25: a sub-domain has not the policy of the domain above it', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    await finder.find(DOMAIN)
    assert.deepEqual(await finder.find('mail.example.com'), NONE)
    assert.deepEqual(await finder.find('com'), NONE)
  })

  it('two domains with the same hosts have each its own policy', async (t) => {
    const world = await openWorld(t)
    world.publish('a.example.com', '1', policyText('enforce', 'mx.example.com'))
    world.publish('b.example.com', '1', policyText('none', 'mx.example.com'))
    const finder = world.finder()
    assert.equal(brief(await finder.find('a.example.com')), 'enforce 1')
    assert.equal(brief(await finder.find('b.example.com')), 'none 1')
    assert.deepEqual(await finder.find('c.example.com'), NONE)
  })

  it('a name that no DNS can hold has none', async (t) => {
    const world = await openWorld(t)
    for (const name of ['', '..', `${'a'.repeat(64)}.example`, 'ä.example', `${'a.'.repeat(125)}b`])
      assert.deepEqual(await world.finder().find(name), NONE)
  })
})

describe('a policy that is kept', () => {
  it('S8 S21: is applied without another fetch while its id stays, until max_age is over', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    await finder.find(DOMAIN)
    world.clock.pass(604_799)
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    assert.equal(world.asked.length, 1)
    world.clock.pass(1)
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    assert.equal(world.asked.length, 2, 'fetched anew when it is over')
  })

  it('is fetched anew when the id changes, and replaces the old one whatever it says', async (t) => {
    const world = await openWorld(t)
    const finder = world.finder()
    for (const [id, mode] of [
      ['1', 'enforce'],
      ['2', 'testing'],
      ['3', 'none'],
      ['4', 'enforce'],
    ] as const) {
      world.publish(DOMAIN, id, policyText(mode, 'mx.example.com'))
      assert.equal(brief(await finder.find(DOMAIN)), `${mode} ${id}`)
    }
    assert.equal(world.asked.length, 4)
  })

  it('a policy of mode none is kept too, and one without hosts is one (Stalwart)', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', 'version: STSv1\nmode: none\nmax_age: 86400\n')
    assert.equal(brief(await world.finder().find(DOMAIN)), 'none 1')
    world.record(DOMAIN, undefined)
    assert.equal(brief(await world.finder().find(DOMAIN)), 'none 1')
    assert.equal(world.asked.length, 1)
  })

  const losses: readonly (readonly [string, ZoneEntry | undefined])[] = [
    ['the record is gone', undefined],
    ['there are two records', { TXT: ['v=STSv1; id=1;', 'v=STSv1; id=2;'], ttl: 0 }],
    ['the record is malformed', { TXT: ['v=STSv1; id=?'], ttl: 0 }],
    ['DNS answers SERVFAIL', { misbehave: 'servfail' }],
    ['DNS answers REFUSED', { misbehave: 'refused' }],
    ['DNS is silent', { misbehave: 'drop' }],
    ['DNS answers rubbish', { misbehave: 'broken' }],
  ]
  for (const [what, entry] of losses) {
    it(`S4: stays in force when ${what}: DNS alone takes no policy away (mailauth)`, async (t) => {
      const world = await openWorld(t)
      world.publish(DOMAIN, '1', ENFORCE)
      const finder = world.finder()
      await finder.find(DOMAIN)
      world.record(DOMAIN, entry)
      assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
      // Nor does it change what is kept: another process finds the same.
      assert.equal(brief(await world.finder().find(DOMAIN)), 'enforce 1')
      world.clock.pass(604_799)
      assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
      assert.equal(world.asked.length, 1)
    })
  }

  it('is never applied when it is over, even if nothing else can be had (mailauth)', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    await finder.find(DOMAIN)
    world.publish(DOMAIN, '2', (_request, response) => response.writeHead(500).end())
    world.clock.pass(604_800)
    assert.equal(brief(await finder.find(DOMAIN)), 'none sts-policy-fetch-error')
    world.record(DOMAIN, undefined)
    assert.deepEqual(await finder.find(DOMAIN), NONE)
  })

  it('is never lengthened by an id that stays, only by another fetch (mox)', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    await finder.find(DOMAIN)
    for (let day = 1; day < 7; day += 1) {
      world.clock.pass(DAY)
      assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    }
    world.publish(DOMAIN, '1', (_request, response) => response.writeHead(500).end())
    world.clock.pass(DAY)
    assert.equal(brief(await finder.find(DOMAIN)), 'none sts-policy-fetch-error')
  })

  it('counts from the begin of its fetch', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', (request, response) => {
      world.clock.pass(30)
      serve(policyText('enforce', 'mx.example.com', 100))(request, response)
    })
    const finder = world.finder()
    await finder.find(DOMAIN)
    const [kept] = await finder.list()
    assert.equal(kept?.expiresAtMs, world.clock.nowMs() + 70_000)
  })

  it('a short max_age is not lengthened (Stalwart), and one of zero counts for one lookup', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', policyText('enforce', 'mx.example.com', 60))
    const finder = world.finder()
    await finder.find(DOMAIN)
    world.record(DOMAIN, undefined)
    world.clock.pass(59)
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    world.clock.pass(1)
    assert.deepEqual(await finder.find(DOMAIN), NONE)
    world.publish(DOMAIN, '2', policyText('enforce', 'mx.example.com', 0))
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 2')
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 2')
    assert.equal(world.asked.length, 3)
    world.record(DOMAIN, undefined)
    assert.deepEqual(await finder.find(DOMAIN), NONE)
  })

  it('S21 S36: stays in force, with the failure for the report, when a new id cannot be fetched (Stalwart)', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    await finder.find(DOMAIN)
    world.publish(DOMAIN, '2', (_request, response) => response.writeHead(503).end())
    const outcome = found(await finder.find(DOMAIN))
    assert.equal(outcome.policy.mode, 'enforce')
    assert.equal(outcome.id, '1')
    assert.deepEqual(outcome.failure, {
      resultType: 'sts-policy-fetch-error',
      reason: 'status 503',
    })
    world.publish(DOMAIN, '3', 'version: STSv1\nmode: strict\n')
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1 sts-policy-invalid')
    world.publish(DOMAIN, '4', TESTING, world.authority.issue('other.example'))
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1 sts-webpki-invalid')
    world.publish(DOMAIN, '5', TESTING)
    assert.equal(brief(await finder.find(DOMAIN)), 'testing 5')
  })

  it('S20 S36: without one, a policy that cannot be fetched is none, with the failure for the report', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', (_request, response) => response.writeHead(404).end())
    const finder = world.finder()
    assert.deepEqual(await finder.find(DOMAIN), {
      status: 'none',
      failure: {
        resultType: 'sts-policy-fetch-error',
        reason: 'mta-sts.example.com has no policy',
      },
    })
    world.record(DOMAIN, undefined)
    assert.deepEqual(await finder.find(DOMAIN), NONE)
  })

  it('S36: a policy of mode none tells no failure but that of its own record', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', policyText('none', 'mx.example.com'))
    const finder = world.finder()
    await finder.find(DOMAIN)
    world.publish(DOMAIN, '2', (_request, response) => response.writeHead(503).end())
    assert.equal(brief(await finder.find(DOMAIN)), 'none 1 sts-policy-fetch-error')
    world.record(DOMAIN, undefined)
    assert.equal(brief(await finder.find(DOMAIN)), 'none 1')
  })

  it('S18: a fetch that failed is not tried again for the same id for five minutes, by no process', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', (_request, response) => response.writeHead(500).end())
    const finder = world.finder()
    for (let times = 0; times < 3; times += 1) {
      assert.equal(brief(await finder.find(DOMAIN)), 'none sts-policy-fetch-error')
      assert.equal(brief(await world.finder().find(DOMAIN)), 'none sts-policy-fetch-error')
      world.clock.pass(99)
    }
    assert.equal(world.asked.length, 1)
    world.clock.pass(3)
    await finder.find(DOMAIN)
    assert.equal(world.asked.length, 2)
    world.publish(DOMAIN, '2', ENFORCE)
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 2', 'another id is tried at once')
  })

  it('S18: who changes the id to and fro makes no more fetches', async (t) => {
    const world = await openWorld(t)
    const finder = world.finder()
    for (let times = 0; times < 5; times += 1)
      for (const id of ['1', '2', '3']) {
        if (times === 0)
          world.publish(DOMAIN, id, (_request, response) => response.writeHead(500).end())
        else world.record(DOMAIN, recordOf(id))
        await finder.find(DOMAIN)
      }
    assert.equal(world.asked.length, 3)
  })

  it('S40: a flood of other policies costs memory up to the limit, and takes no policy away', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder({ maxPolicies: 2, maxBytes: 100_000 })
    await finder.find(DOMAIN)
    for (let at = 0; at < 8; at += 1) {
      world.publish(`d${at}.b.example`, '1', `${ENFORCE}${'mx: a.example\n'.repeat(4000)}`)
      assert.equal(brief(await finder.find(`d${at}.b.example`)), 'enforce 1')
    }
    world.record(DOMAIN, undefined)
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    assert.equal(world.asked.length, 9)
  })

  it('is fetched once for many who want it at once', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => finder.find(DOMAIN)))
    assert.ok(outcomes.every((outcome) => brief(outcome) === 'enforce 1'))
    assert.equal(world.asked.length, 1)
  })

  it('another process finds it without a fetch', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    await world.finder().find(DOMAIN)
    assert.equal(brief(await world.finder().find(DOMAIN)), 'enforce 1')
    assert.equal(world.asked.length, 1)
  })

  it('what another process has fetched is seen when the id differs, and after a minute in any case', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const [one, other] = [world.finder(), world.finder()]
    await one.find(DOMAIN)
    await other.find(DOMAIN)
    world.publish(DOMAIN, '2', TESTING)
    await other.find(DOMAIN)
    assert.equal(world.asked.length, 2)
    assert.equal(brief(await one.find(DOMAIN)), 'testing 2')
    assert.equal(world.asked.length, 2)
    world.publish(DOMAIN, '3', ENFORCE)
    await other.find(DOMAIN)
    world.record(DOMAIN, undefined)
    assert.equal(brief(await one.find(DOMAIN)), 'testing 2')
    world.clock.pass(60)
    assert.equal(brief(await one.find(DOMAIN)), 'enforce 3')
  })
})

describe('a question that nobody can answer', () => {
  it('is a TempError where DNS fails and nothing is kept: the mail waits', async (t) => {
    const world = await openWorld(t)
    for (const misbehave of ['servfail', 'refused', 'drop'] as const) {
      world.record(DOMAIN, { misbehave })
      await assert.rejects(world.finder().find(DOMAIN), TempError)
    }
  })

  it('is no policy if the operator wants it so', async (t) => {
    const world = await openWorld(t)
    world.record(DOMAIN, { misbehave: 'servfail' })
    assert.deepEqual(await world.finder({ onLookupFailure: 'none' }).find(DOMAIN), NONE)
  })

  it('rejects with the reason of who does not want to wait, and the fetch goes on', async (t) => {
    const world = await openWorld(t)
    const go: (() => void)[] = []
    const started = new Promise<void>((resolve) => {
      world.publish(DOMAIN, '1', (request, response) => {
        go.push(() => serve(ENFORCE)(request, response))
        resolve()
      })
    })
    const finder = world.finder()
    const controller = new AbortController()
    const impatient = finder.find(DOMAIN, controller.signal)
    const patient = finder.find(DOMAIN)
    await started
    const reason = new Error('enough')
    controller.abort(reason)
    await assert.rejects(impatient, reason)
    for (const answer of go) answer()
    assert.equal(brief(await patient), 'enforce 1')
    assert.equal(world.asked.length, 1)
  })

  it('who has a policy does not wait long for a newer one', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder({ patienceMs: 50 })
    await finder.find(DOMAIN)
    let answer = (): void => {}
    world.publish(DOMAIN, '2', (request, response) => {
      answer = () => serve(TESTING)(request, response)
    })
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    answer()
    assert.equal(brief(await finder.find(DOMAIN)), 'testing 2')
    assert.equal(world.asked.length, 2)
  })

  it('S40: no more fetches than the limit are under way, and who finds no place waits or is told so', async (t) => {
    const world = await openWorld(t)
    const waiting: (() => void)[] = []
    let most = 0
    let now = 0
    const domains = Array.from({ length: 6 }, (_, at) => `d${at}.example.com`)
    for (const domain of domains)
      world.publish(domain, '1', (request, response) => {
        now += 1
        most = Math.max(most, now)
        waiting.push(() => {
          now -= 1
          serve(ENFORCE)(request, response)
        })
      })
    const finder = world.finder({ maxFetches: 2, waitMs: 20_000 })
    const all = Promise.all(domains.map((domain) => finder.find(domain)))
    for (let answered = 0; answered < domains.length; answered += 1) {
      const wanted = Math.min(2, domains.length - answered)
      while (waiting.length < wanted) await new Promise(setImmediate)
      waiting.shift()?.()
    }
    assert.ok((await all).every((outcome) => brief(outcome) === 'enforce 1'))
    assert.equal(most, 2)

    const busy = world.finder({ maxFetches: 1, waitMs: 30 })
    const [first = '', second = ''] = domains
    for (const domain of [first, second]) world.record(domain, recordOf('2'))
    const slow = busy.find(first)
    assert.equal(brief(await busy.find(second)), 'enforce 1', 'what is kept is applied')
    world.publish('new.example.com', '1', ENFORCE)
    await assert.rejects(
      busy.find('new.example.com'),
      (error: unknown) => error instanceof TempError && error.code === 'mta-sts/busy',
    )
    while (waiting.length === 0) await new Promise(setImmediate)
    for (const answer of waiting) answer()
    assert.equal(brief(await slow), 'enforce 2')
    assert.equal(brief(await busy.find('new.example.com')), 'enforce 1')
  })
})

describe('a store that fails', () => {
  it('takes nothing from a policy that is just fetched: it is applied, said once, and written later (go-mtasts)', async (t) => {
    const world = await openWorld(t)
    const store = breakable(world.store)
    const finder = world.finder({ store })
    world.publish(DOMAIN, '1', ENFORCE)
    store.broken = true
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    assert.equal(world.log.length, 1)
    assert.match(world.log[0] ?? '', /^warn MTA-STS: the store of policies cannot be used/)
    world.record(DOMAIN, undefined)
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    world.clock.pass(61)
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    store.broken = false
    world.clock.pass(61)
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    assert.match(world.log[1] ?? '', /is back$/)
    assert.equal(brief(await world.finder().find(DOMAIN)), 'enforce 1', 'it is in the store now')
    assert.equal(world.asked.length, 1)
  })

  it('a newer policy counts although the store keeps the older one (go-mtasts)', async (t) => {
    const world = await openWorld(t)
    const store = breakable(world.store)
    const finder = world.finder({ store })
    world.publish(DOMAIN, '1', ENFORCE)
    await finder.find(DOMAIN)
    store.broken = true
    world.clock.pass(1)
    world.publish(DOMAIN, '2', TESTING)
    assert.equal(brief(await finder.find(DOMAIN)), 'testing 2')
    world.clock.pass(61)
    store.broken = false
    world.record(DOMAIN, undefined)
    assert.equal(brief(await finder.find(DOMAIN)), 'testing 2')
    assert.equal(brief(await world.finder().find(DOMAIN)), 'testing 2')
  })

  it('is a TempError where it alone could say, and no policy if the operator wants it so', async (t) => {
    const world = await openWorld(t)
    const store = breakable(world.store)
    world.publish(DOMAIN, '1', ENFORCE)
    await world.finder({ store }).find(DOMAIN)
    store.broken = true
    world.record(DOMAIN, undefined)
    const unreachable = (error: unknown): boolean =>
      error instanceof TempError && error.code === 'cache/unreachable'
    await assert.rejects(world.finder({ store }).find(DOMAIN), unreachable)
    assert.deepEqual(await world.finder({ store, onLookupFailure: 'none' }).find(DOMAIN), NONE)
    // The record is there, the policy host is not: what is kept might be in force.
    world.publish(DOMAIN, '2', (_request, response) => response.writeHead(500).end())
    const finder = world.finder({ store })
    const before = world.asked.length
    for (let times = 0; times < 3; times += 1)
      await assert.rejects(finder.find(DOMAIN), unreachable)
    assert.equal(world.asked.length, before + 1, 'five minutes between two tries, all the same')
    store.broken = false
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1 sts-policy-fetch-error')
  })

  it('an entry that is damaged is a TempError until a fetch replaces it', async (t) => {
    const world = await openWorld(t)
    const key = `mta-sts/policy/${DOMAIN}`
    for (const value of ['', 'null', '{}', '{"version":2}', '{"version":1,"failures":[{}]}']) {
      await world.store.set(key, value, 60)
      world.record(DOMAIN, undefined)
      await assert.rejects(
        world.finder().find(DOMAIN),
        (error: unknown) => error instanceof TempError && error.code === 'cache/malformed',
      )
      world.publish(DOMAIN, '1', ENFORCE)
      assert.equal(brief(await world.finder().find(DOMAIN)), 'enforce 1')
    }
  })

  it('a store that has lost everything gets back what this process has at hand', async (t) => {
    const world = await openWorld(t)
    world.publish(DOMAIN, '1', ENFORCE)
    const finder = world.finder()
    await finder.find(DOMAIN)
    for (const key of await world.store.keys('')) await world.store.delete(key)
    world.record(DOMAIN, undefined)
    world.clock.pass(61)
    assert.equal(brief(await finder.find(DOMAIN)), 'enforce 1')
    assert.equal(brief(await world.finder().find(DOMAIN)), 'enforce 1')
  })

  it('is asked once a minute for a domain, and not in between', async (t) => {
    const world = await openWorld(t)
    let reads = 0
    const store = {
      ...world.store,
      get: (key: string) => {
        reads += 1
        return world.store.get(key)
      },
    }
    world.publish(DOMAIN, '1', ENFORCE)
    await world.finder().find(DOMAIN)
    const finder = world.finder({ store })
    for (const domain of [DOMAIN, 'other.example']) {
      reads = 0
      for (let times = 0; times < 10; times += 1) await finder.find(domain)
      assert.equal(reads, 1)
      world.clock.pass(60)
      await finder.find(domain)
      assert.equal(reads, 2)
    }
  })
})
