// Counting: what becomes of sessions, of a store that fails, of floods, and of clocks.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TempError } from '../../lib/errors.ts'
import { createCollector, type CollectorOptions } from '../../lib/tlsrpt/collector.ts'
import type { Count } from '../../lib/tlsrpt/count.ts'
import type { Batch } from '../../lib/tlsrpt/day-store.ts'
import type { Session, SessionResult } from '../../lib/tlsrpt/session.ts'
import { createTally } from '../../lib/tlsrpt/tally.ts'

const AT_MS = Date.UTC(2026, 10, 21, 23, 59, 59)

const STS: SessionResult = {
  policyType: 'sts',
  policyDomain: 'b.example',
  policyStrings: ['version: STSv1', 'mode: enforce', 'mx: mx.b.example', 'max_age: 1'],
  mxHostPatterns: ['mx.b.example'],
  resultType: 'success',
}
const TLSA: SessionResult = {
  ...STS,
  policyType: 'tlsa',
  policyDomain: 'mx.b.example',
  policyStrings: ['3 1 1 AB'],
  mxHostPatterns: [],
}

function session(result: Partial<SessionResult> = {}, more: Partial<Session> = {}): Session {
  return {
    atMs: AT_MS,
    domain: 'b.example',
    results: [{ ...STS, ...result }],
    sendingIp: '192.0.2.9',
    host: 'mx.b.example',
    receivingIp: '192.0.2.1',
    ...more,
  }
}

interface World {
  readonly options: CollectorOptions
  readonly days: Map<string, Batch[]>
  readonly log: string[]
  isAway: boolean
  isFull: boolean
  readonly closed: Set<string>
}

function world(more: Partial<CollectorOptions> = {}): World {
  const days = new Map<string, Batch[]>()
  const log: string[] = []
  const closed = new Set<string>()
  const made: World = {
    days,
    log,
    isAway: false,
    isFull: false,
    closed,
    options: {
      store: {
        add: async (day, batch) => {
          if (made.isAway) throw new TempError('cache/unreachable', 'away')
          if (closed.has(day)) return 'closed'
          days.set(day, [...(days.get(day) ?? []), batch])
          return 'kept'
        },
      },
      leave: (day, batch) => {
        if (made.isAway) throw new Error('away')
        if (closed.has(day)) return 'closed'
        days.set(day, [...(days.get(day) ?? []), batch])
        return 'kept'
      },
      log: (level, message) => void log.push(`${level} ${message}`),
      flushMs: 3_600_000,
      ...more,
    },
  }
  return made
}

/** As whoever reads it sums it up: a batch that was written twice counts once. */
function countsOf({ days }: World, day = '2026-11-21'): readonly Count[] {
  const tally = createTally({ maxNames: 1e6, maxPolicies: 100, maxFailures: 1e6 })
  const batches = new Map((days.get(day) ?? []).map((batch) => [batch.id, batch]))
  for (const { counts } of batches.values()) for (const count of counts) tally.add(count)
  return tally.drain()
}

describe('the collector', () => {
  it('R14 R22 R23: counts successes and failures, each policy with its strings', async () => {
    const made = world()
    const collector = createCollector(made.options)
    for (let at = 0; at < 3; at += 1) collector.count(session())
    collector.count(session({ resultType: 'certificate-expired', reason: 'CERT_HAS_EXPIRED' }))
    collector.count(session({ resultType: 'certificate-expired', reason: 'CERT_HAS_EXPIRED' }))
    await collector.close()
    assert.deepEqual(countsOf(made), [
      {
        name: 'b.example',
        via: undefined,
        policy: {
          policyType: 'sts',
          policyDomain: 'b.example',
          policyStrings: STS.policyStrings,
          mxHosts: ['mx.b.example'],
        },
        successfulSessions: 3,
        failedSessions: 2,
        failures: [
          {
            resultType: 'certificate-expired',
            failedSessions: 2,
            sendingMtaIp: '192.0.2.9',
            receivingMxHostname: 'mx.b.example',
            receivingIp: '192.0.2.1',
            failureReasonCode: 'CERT_HAS_EXPIRED',
          },
        ],
      },
    ])
  })

  it('counts what goes by TLSA records for the domain, and for the host that published them', async () => {
    const made = world()
    const collector = createCollector(made.options)
    collector.count(session({}, { results: [STS, TLSA] }))
    await collector.close()
    assert.deepEqual(
      countsOf(made).map(({ name, via, policy }) => [name, via, policy.policyType]),
      [
        ['b.example', undefined, 'sts'],
        ['b.example', undefined, 'tlsa'],
        ['mx.b.example', 'b.example', 'tlsa'],
      ],
    )
  })

  it('R13: keeps the days of UTC apart, and returns to none when the clock is set back', async () => {
    const made = world()
    const collector = createCollector(made.options)
    collector.count(session())
    collector.count(session({}, { atMs: AT_MS + 1000 }))
    collector.count(session({}, { atMs: AT_MS - 3_600_000 }))
    await collector.close()
    assert.equal(countsOf(made)[0]?.successfulSessions, 1)
    assert.equal(countsOf(made, '2026-11-22')[0]?.successfulSessions, 2)
  })

  it('passes on to the next day what comes after a day was closed', async () => {
    const made = world()
    made.closed.add('2026-11-21')
    const collector = createCollector(made.options)
    collector.count(session())
    await collector.flush()
    collector.count(session())
    await collector.close()
    assert.equal(countsOf(made).length, 0)
    assert.equal(countsOf(made, '2026-11-22')[0]?.successfulSessions, 2)
    assert.deepEqual(made.log, [])
  })

  it('forgets a clock that was years ahead', async () => {
    const made = world()
    const collector = createCollector(made.options)
    collector.count(session({}, { atMs: Date.UTC(2036, 0, 1) }))
    collector.count(session())
    await collector.close()
    assert.equal(countsOf(made)[0]?.successfulSessions, 1)
  })

  it('counts on in memory while the store is away, says so once, and loses nothing', async () => {
    const made = world()
    const collector = createCollector(made.options)
    made.isAway = true
    for (let round = 0; round < 3; round += 1) {
      for (let at = 0; at < 100; at += 1) collector.count(session({}, { domain: `d${at}.example` }))
      await collector.flush()
    }
    assert.equal(made.log.length, 1)
    assert.match(made.log.join(), /cannot be kept, and wait in memory: away/)
    made.isAway = false
    await collector.close()
    const counts = countsOf(made)
    assert.equal(counts.length, 100)
    assert.ok(counts.every(({ successfulSessions }) => successfulSessions === 3))
    assert.match(made.log.join(), /kept again/)
  })

  it('says how much is lost when it ends without the store', async () => {
    const made = world()
    const collector = createCollector(made.options)
    made.isAway = true
    collector.count(session())
    collector.count(session({ resultType: 'validation-failure' }))
    await collector.close()
    assert.match(made.log.at(-1) ?? '', /error TLSRPT: 2 sessions were not counted/)
  })

  it('leaves behind what it has as the process ends, also what is being written: it counts once', async () => {
    const made = world()
    let goOn: () => void = () => {}
    const stuck = new Promise<void>((resolve) => (goOn = resolve))
    const { add } = made.options.store
    const collector = createCollector({
      ...made.options,
      store: { add: (day, batch) => stuck.then(() => add(day, batch)) },
    })
    made.closed.add('2026-11-21')
    collector.count(session())
    const writing = collector.flush()
    collector.count(session({ resultType: 'validation-failure' }))
    collector.leave()
    const [count] = countsOf(made, '2026-11-22')
    assert.deepEqual([count?.successfulSessions, count?.failedSessions], [1, 1])
    // It goes on for a while.
    collector.count(session())
    goOn()
    await writing
    collector.leave()
    const [all] = countsOf(made, '2026-11-22')
    assert.deepEqual([all?.successfulSessions, all?.failedSessions], [2, 1])
    assert.deepEqual(made.log, [])
  })

  it('takes on what another has left, and says when the store has it', async () => {
    const made = world()
    const collector = createCollector(made.options)
    const other = createCollector(made.options)
    other.count(session())
    await other.flush()
    const [batch] = made.days.get('2026-11-21') ?? []
    assert.ok(batch)
    made.days.clear()
    made.isAway = true
    let isKept = false
    collector.adopt('2026-11-21', batch, () => (isKept = true))
    await collector.flush()
    assert.equal(isKept, false)
    made.isAway = false
    await collector.flush()
    assert.equal(isKept, true)
    assert.deepEqual(made.days.get('2026-11-21'), [batch])
  })

  it('R33: has bounds for domains and for failures; what has no details is counted all the same', async () => {
    const limits = { maxNames: 10, maxPolicies: 3, maxFailures: 5 }
    const made = world({ limits })
    made.isAway = true
    const collector = createCollector(made.options)
    for (let at = 0; at < 1000; at += 1) {
      collector.count(
        session({ resultType: 'validation-failure' }, { receivingIp: `2001:db8::${at}` }),
      )
      collector.count(session({ policyStrings: [`id ${at}`] }, { domain: 'c.example' }))
      collector.count(session({}, { domain: `d${at}.example` }))
    }
    made.isAway = false
    await collector.close()
    const counts = countsOf(made)
    const failed = counts.filter(({ name }) => name === 'b.example')
    assert.equal(failed[0]?.failedSessions, 1000)
    assert.equal(failed[0]?.failures.length, 6)
    const changing = counts.filter(({ name }) => name === 'c.example')
    assert.equal(changing.length, 4)
    assert.equal(
      changing.reduce((sum, { successfulSessions }) => sum + successfulSessions, 0),
      1000,
    )
    assert.match(made.log.join(), /992 sessions were not counted/)
  })

  it('does not count what goes to an address', async () => {
    const made = world()
    const collector = createCollector(made.options)
    collector.count(session({}, { domain: '[192.0.2.1]' }))
    collector.count(session({}, { domain: '2001:db8::1' }))
    await collector.close()
    assert.equal(made.days.size, 0)
  })

  it('never throws into a delivery', () => {
    const made = world()
    const collector = createCollector(made.options)
    collector.count(session({}, { atMs: NaN }))
    collector.count(null as unknown as Session)
    assert.equal(made.log.length, 2)
  })
})
