// The reports of a day: who gets one, once; of several nodes, through deaths, restarts of Redis and clocks that go back.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createLease, type Lease } from '../../lib/cache/lease.ts'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { createRedisCache } from '../../lib/cache/redis.ts'
import { createRedisScripts } from '../../lib/cache/redis-scripts.ts'
import { createFileCache } from '../../lib/cache/file.ts'
import { TempError } from '../../lib/errors.ts'
import { createCollector } from '../../lib/tlsrpt/collector.ts'
import { DAY_MS, endOf } from '../../lib/tlsrpt/day.ts'
import type { DayStore } from '../../lib/tlsrpt/day-store.ts'
import { createFileStore } from '../../lib/tlsrpt/file-store.ts'
import type { Letter } from '../../lib/tlsrpt/letter.ts'
import { parseReportText } from '../../lib/tlsrpt/parse-report.ts'
import { formatDestination, parseRecord } from '../../lib/tlsrpt/record.ts'
import { createRedisStore } from '../../lib/tlsrpt/redis-store.ts'
import {
  createReporter,
  NOW_KEY,
  type Reporter,
  type ReporterOptions,
} from '../../lib/tlsrpt/reporter.ts'
import { createRound, type RoundOptions } from '../../lib/tlsrpt/round.ts'
import type { Session, SessionResult } from '../../lib/tlsrpt/session.ts'
import { redisMissing, startRedis, type RedisServer } from '../support/redis-server.ts'

const DAY = '2026-11-21'
const NOON_MS = Date.UTC(2026, 10, 21, 12)
/** After the day, and after all delays. */
const DUE_MS = endOf(DAY) + 3_600_000

interface Arrived {
  readonly name: string
  readonly to: string
  readonly successes: number
  readonly failures: number
  readonly id: string
}

interface World {
  readonly clock: { ms: number; nowMs(): number }
  readonly log: string[]
  readonly arrived: Arrived[]
  /** By domain: its record, or `servfail`: nobody can say. */
  readonly records: Record<string, string>
  readonly asked: string[]
  refuses: (letter: Letter) => string | undefined
}

function world(records: World['records']): World {
  const clock = { ms: NOON_MS, nowMs: () => clock.ms }
  return { clock, log: [], arrived: [], records, asked: [], refuses: () => undefined }
}

function roundOptions(
  made: World,
  store: DayStore,
  rules: Partial<RoundOptions['rules']> = {},
): RoundOptions {
  return {
    store,
    clock: made.clock,
    log: (level, message) => void made.log.push(`${level} ${message}`),
    lookUp: async (name) => {
      made.asked.push(name)
      const text = made.records[name]
      if (text === 'servfail') throw new TempError('dns/servfail', `${name}: SERVFAIL`)
      return parseRecord(text === undefined ? [] : [[Buffer.from(text)]])
    },
    send: async (letter, to) => {
      const refusal = made.refuses(letter)
      if (refusal !== undefined) return { accepted: [], refused: [refusal] }
      const { policies } = parseReportText(letter.json)
      for (const one of to)
        made.arrived.push({
          name: letter.reportDomain,
          to: formatDestination(one),
          successes: policies.reduce((sum, { successfulSessions }) => sum + successfulSessions, 0),
          failures: policies.reduce((sum, { failedSessions }) => sum + failedSessions, 0),
          id: letter.reportId,
        })
      return { accepted: to.map(formatDestination), refused: [] }
    },
    submitter: { organization: 'A', contact: 'tls@a.example', from: 'tls@a.example', id: 'x1' },
    rules: {
      mode: 'send',
      onlyFailures: false,
      redirectTo: undefined,
      suppressed: new Set(),
      maxBytes: 1e6,
      ...rules,
    },
    settleMs: 1,
  }
}

interface Node {
  readonly store: DayStore
  readonly reporter: Reporter
  count(domain: string, times: number, result?: Partial<SessionResult>): Promise<void>
}

/** A process that counts and reports. */
function node(
  made: World,
  store: DayStore,
  shared: Parameters<typeof createLease>[0]['store'],
  rules?: Partial<RoundOptions['rules']>,
): Node {
  const log = (level: string, message: string): void => void made.log.push(`${level} ${message}`)
  const leave = (): never => assert.fail('nothing is left behind')
  const collector = createCollector({ store, leave, log, flushMs: 3_600_000 })
  return {
    store,
    reporter: createReporter({
      days: store,
      round: createRound(roundOptions(made, store, rules)),
      lease: createLease({ store: shared, key: 'tlsrpt/report', ttlSeconds: 300 }),
      store: shared,
      clock: made.clock,
      log,
      maxDelayMs: 0,
      keepDays: 7,
    }),
    async count(domain, times, result = {}) {
      const session: Session = {
        atMs: made.clock.ms,
        domain,
        host: `mx.${domain}`,
        results: [
          {
            policyType: 'no-policy-found',
            policyDomain: domain,
            policyStrings: [],
            mxHostPatterns: [],
            resultType: 'success',
            ...result,
          },
        ],
      }
      for (let at = 0; at < times; at += 1) collector.count(session)
      await collector.flush()
    },
  }
}

const SURE: Lease = {
  ttlSeconds: 300,
  take: async () => true,
  renew: async () => true,
  release: async () => {},
}

/** Of one who is sure to be the only one. */
function reporterOptions(made: World, store: DayStore): ReporterOptions {
  return {
    days: store,
    round: createRound(roundOptions(made, store)),
    lease: SURE,
    store: createMemoryCache({ clock: made.clock, maxEntries: 10 }),
    clock: made.clock,
    log: () => {},
    maxDelayMs: 0,
    keepDays: 7,
  }
}

/** Of so many domains, each of which wants a report. */
function manyRecords(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`d${at}.example`, RUA]))
}

/** Until Redis can be reached again, and it is done. */
async function eventually(work: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 20_000
  while (!(await work().catch(() => false))) {
    assert.ok(Date.now() < endMs, 'not done in time')
    await wait(50)
  }
}

const RUA = 'v=TLSRPTv1;rua=mailto:r@b.example'
const folder = mkdtempSync(join(tmpdir(), 'hisho-round-'))
let folders = 0
const opened: DayStore[] = []
after(async () => {
  await Promise.all(opened.map((store) => store.close()))
  rmSync(folder, { recursive: true, force: true })
})

function openFiles(directory: string): DayStore {
  const store = createFileStore({ directory, log: () => {} })
  opened.push(store)
  return store
}

/** Several processes of one machine. */
function machine(made: World, rules?: Partial<RoundOptions['rules']>): () => Node {
  const directory = join(folder, `${(folders += 1)}`)
  const shared = createFileCache({ directory: `${directory}-cache`, clock: made.clock })
  return () => node(made, openFiles(directory), shared, rules)
}

const summary = (made: World): string[] =>
  made.arrived
    .map(({ name, to, successes, failures }) => `${name} ${to} ${successes} ${failures}`)
    .toSorted()

describe('a day is reported', () => {
  it('R13: after it is over, to those who want it, as the sum of all processes, once', async () => {
    const made = world({ 'b.example': RUA, 'c.example': 'v=TLSRPTv1;rua=https://c.example/' })
    const open = machine(made)
    const [one, other] = [open(), open()]
    await one.count('b.example', 3)
    await other.count('b.example', 4)
    await other.count('b.example', 2, { resultType: 'certificate-expired' })
    await one.count('c.example', 1)
    await one.count('silent.example', 5)
    assert.ok(await one.reporter.run())
    assert.deepEqual(made.arrived, [])
    made.clock.ms = DUE_MS
    await Promise.all([one.reporter.run(), other.reporter.run()])
    await other.reporter.run()
    assert.deepEqual(summary(made), [
      'b.example mailto:r@b.example 7 2',
      'c.example https://c.example/ 1 0',
    ])
    assert.equal(await one.store.progress(DAY), 'done')
  })

  it('R13: not before a part of the delay that chance gives', async () => {
    const made = world({ 'b.example': RUA })
    const store = openFiles(join(folder, `${(folders += 1)}`))
    const shared = createMemoryCache({ clock: made.clock, maxEntries: 10 })
    await node(made, store, {
      ...shared,
      keys: async () => [],
      setIfAbsent: async () => true,
    }).count('b.example', 1)
    const reporter = createReporter({
      ...reporterOptions(made, store),
      maxDelayMs: 4 * 3_600_000,
      random: () => 0.5,
    })
    made.clock.ms = endOf(DAY) + 2 * 3_600_000
    await reporter.run()
    assert.equal(made.arrived.length, 0)
    made.clock.ms += 301_000
    await reporter.run()
    assert.equal(made.arrived.length, 1)
  })

  it('at once when the operator asks for it', async () => {
    const made = world({ 'b.example': RUA })
    const directory = join(folder, `${(folders += 1)}`)
    const shared = createFileCache({ directory: `${directory}-cache`, clock: made.clock })
    const one = node(made, openFiles(directory), shared)
    await one.count('b.example', 1)
    made.clock.ms = endOf(DAY) + 1000
    await one.reporter.run()
    assert.equal(made.arrived.length, 0)
    await shared.set(NOW_KEY, '1', 60)
    await one.reporter.run()
    assert.equal(made.arrived.length, 1)
    assert.equal(await shared.get(NOW_KEY), undefined)
  })

  it('to the domain of a host too, but not twice to the same readers', async () => {
    const made = world({
      'b.example': RUA,
      'c.example': 'v=TLSRPTv1;rua=mailto:r@c.example',
      'mx.host.example': 'v=TLSRPTv1;rua=mailto:r@c.example',
    })
    const one = machine(made)()
    const tlsa = {
      policyType: 'tlsa',
      policyDomain: 'mx.host.example',
      policyStrings: ['3 1 1 AB'],
    } as const
    await one.count('b.example', 3, tlsa)
    await one.count('c.example', 4, tlsa)
    await one.count('silent.example', 5, tlsa)
    made.clock.ms = DUE_MS
    await one.reporter.run()
    assert.deepEqual(summary(made), [
      'b.example mailto:r@b.example 3 0',
      'c.example mailto:r@c.example 4 0',
      'mx.host.example mailto:r@c.example 8 0',
    ])
  })

  it('R31: again and again for a day when nobody takes it, and then its loss is said', async () => {
    const made = world({ 'b.example': RUA, 'c.example': 'servfail' })
    const one = machine(made)()
    await one.count('b.example', 1)
    await one.count('c.example', 1)
    made.refuses = () => 'not now'
    made.clock.ms = DUE_MS
    const tries: number[] = []
    for (let minute = 0; minute < 26 * 60; minute += 15) {
      const before = made.asked.length
      await one.reporter.run()
      if (made.asked.length > before) tries.push(minute)
      made.clock.ms += 15 * 60_000
    }
    assert.deepEqual(tries.slice(0, 6), [0, 15, 45, 105, 225, 465])
    assert.ok(tries.length < 12)
    assert.equal(made.arrived.length, 0)
    const said = made.log.filter((line) => line.startsWith('error'))
    assert.equal(said.length, 2)
    assert.match(said.join(), /b\.example of 2026-11-21 is not sent, and will not be: not now/)
    assert.equal(await one.store.progress(DAY), 'done')
  })

  it('R31: once, when the second try is taken', async () => {
    const made = world({ 'b.example': 'servfail', 'c.example': RUA })
    const one = machine(made)()
    await one.count('b.example', 1)
    await one.count('c.example', 1)
    made.refuses = ({ reportDomain }) => (reportDomain === 'c.example' ? 'status 500' : undefined)
    made.clock.ms = DUE_MS
    await one.reporter.run()
    made.records['b.example'] = RUA
    made.refuses = () => undefined
    made.clock.ms += 20 * 60_000
    await one.reporter.run()
    made.clock.ms += 20 * 60_000
    await one.reporter.run()
    assert.equal(made.arrived.length, 2)
    assert.equal(await one.store.progress(DAY), 'done')
  })

  it('R33: to nobody who is suppressed, not over the size, to one address on trial, failures alone', async () => {
    const records = {
      'b.example': RUA,
      'c.example': 'v=TLSRPTv1;rua=mailto:x@c.example,mailto:y@c.example,https://big.example/',
    }
    const run = async (rules: Partial<RoundOptions['rules']>): Promise<World> => {
      const made = world(records)
      const one = machine(made, rules)()
      await one.count('b.example', 1)
      await one.count('c.example', 1, { resultType: 'validation-failure' })
      made.clock.ms = DUE_MS
      await one.reporter.run()
      return made
    }
    const to = ({ arrived }: World): string[] => arrived.map((one) => one.to).toSorted()
    assert.deepEqual(
      to(await run({ suppressed: new Set(['b.example', 'x@c.example', 'big.example']) })),
      ['mailto:y@c.example'],
    )
    const small = await run({ maxBytes: 10 })
    assert.deepEqual(to(small), [])
    assert.equal(small.log.filter((line) => line.includes('too many')).length, 2)
    assert.deepEqual(to(await run({ redirectTo: 't@a.example' })), [
      'mailto:t@a.example',
      'mailto:t@a.example',
    ])
    assert.equal(to(await run({ onlyFailures: true })).length, 3)
    const dry = await run({ mode: 'dry_run' })
    assert.deepEqual(to(dry), [])
    assert.match(
      dry.log.join(),
      /dry run: the report on b\.example of 2026-11-21, \d+ bytes, would go to mailto:r@b\.example/,
    )
  })

  it('and what one who died has claimed is not sent again: its loss is said', async () => {
    const made = world({ 'b.example': RUA, 'c.example': RUA })
    const open = machine(made)
    const [dead, alive] = [open(), open()]
    await dead.count('b.example', 1)
    await dead.count('c.example', 1)
    made.clock.ms = DUE_MS
    // It has claimed, and that was its end.
    await dead.store.closeDay(DAY)
    await dead.store.claim(DAY, 'dead', [{ name: 'b.example', attempt: 1 }], made.clock.ms)
    await alive.reporter.run()
    assert.deepEqual(summary(made), ['c.example mailto:r@b.example 1 0'])
    assert.equal(await alive.store.progress(DAY), 'walked')
    made.clock.ms += 20 * 60_000
    await alive.reporter.run()
    assert.equal(made.arrived.length, 1)
    assert.match(made.log.join(), /error TLSRPT: whether the report on b\.example .* not known/)
    assert.equal(await alive.store.progress(DAY), 'done')
  })

  it('by nobody who has lost the lease in the middle, and the next one goes on', async () => {
    const records = manyRecords(20)
    const made = world(records)
    const open = machine(made)
    const [one, other] = [open(), open()]
    for (const name of Object.keys(records)) await one.count(name, 1)
    made.clock.ms = DUE_MS
    let left = 5
    const slow = createRound({ ...roundOptions(made, one.store), atOnce: 1 })
    await slow(DAY, DUE_MS + DAY_MS, () => (left -= 1) > 0)
    assert.ok(made.arrived.length > 0 && made.arrived.length < 20)
    await other.reporter.run()
    assert.equal(new Set(made.arrived.map(({ name }) => name)).size, 20)
    assert.equal(made.arrived.length, 20)
  })

  it('once, though two are sure at one time that each of them is the only one', async () => {
    const made = world(manyRecords(30))
    const open = machine(made)
    const [one, other] = [open(), open()]
    for (const name of Object.keys(made.records)) await one.count(name, 1)
    made.clock.ms = DUE_MS
    const both = [one, other].map(({ store }) => createReporter(reporterOptions(made, store)))
    await Promise.all(both.map((reporter) => reporter.run()))
    assert.equal(made.arrived.length, 30)
    assert.equal(new Set(made.arrived.map(({ name }) => name)).size, 30)
  })

  it('no further by one whose lease cannot be renewed', async () => {
    const made = world(manyRecords(100))
    const one = machine(made)()
    for (const name of Object.keys(made.records)) await one.count(name, 1)
    made.clock.ms = DUE_MS
    let asked: () => void = () => {}
    const wasAsked = new Promise<void>((resolve) => (asked = resolve))
    const renew = async (): Promise<boolean> => {
      if (made.arrived.length < 3) return true
      asked()
      throw new TempError('cache/unreachable', 'away')
    }
    const slow = { ...roundOptions(made, one.store), atOnce: 1 }
    const reporter = createReporter({
      ...reporterOptions(made, one.store),
      round: createRound({
        ...slow,
        send: async (letter, to) => {
          if (made.arrived.length === 3) await wasAsked
          return slow.send(letter, to)
        },
      }),
      lease: { ...SURE, ttlSeconds: 0.03, renew },
    })
    await reporter.run()
    assert.ok(made.arrived.length >= 3 && made.arrived.length < 10, `${made.arrived.length}`)
    assert.equal(await one.store.progress(DAY), 'open')
  })

  it('the same day never again, though the clock is set back', async () => {
    const made = world({ 'b.example': RUA })
    const one = machine(made)()
    made.clock.ms = endOf(DAY) - 60_000
    await one.count('b.example', 2)
    made.clock.ms = DUE_MS
    await one.reporter.run()
    made.clock.ms = endOf(DAY) - 1000
    await one.count('b.example', 3)
    await one.reporter.run()
    made.clock.ms = DUE_MS + 1
    await one.reporter.run()
    assert.deepEqual(summary(made), ['b.example mailto:r@b.example 2 0'])
    made.clock.ms = DUE_MS + DAY_MS
    await one.reporter.run()
    assert.deepEqual(summary(made), [
      'b.example mailto:r@b.example 2 0',
      'b.example mailto:r@b.example 3 0',
    ])
  })
})

describe('a day of two machines and Redis is reported', { skip: redisMissing }, () => {
  let redis: RedisServer
  before(async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
  })
  after(() => redis.close())

  let prefix = 0
  /** Each call: another machine. */
  function fleet(made: World, t: { after(done: () => Promise<void>): void }): () => Node {
    const keyPrefix = `f${(prefix += 1)}:`
    return () => {
      const connection = {
        target: { kind: 'single', url: `redis://127.0.0.1:${redis.port}` },
        keyPrefix,
        timeoutMs: 2000,
      } as const
      const log = (level: string, message: string): void =>
        void made.log.push(`${level} ${message}`)
      const store = createRedisStore({
        redis: createRedisScripts(connection),
        clock: made.clock,
        keepDays: 7,
        log,
      })
      const shared = createRedisCache({ ...connection, clock: made.clock })
      t.after(async () => {
        await Promise.all([store.close(), shared.close()])
      })
      return node(made, store, shared)
    }
  }

  it('once, as the sum of both', async (t) => {
    const made = world({ 'b.example': RUA })
    const open = fleet(made, t)
    const [one, other] = [open(), open()]
    await Promise.all([one.count('b.example', 30), other.count('b.example', 12)])
    await other.count('b.example', 2, {
      resultType: 'starttls-not-supported',
      reason: 'it offers none',
    })
    made.clock.ms = DUE_MS
    await Promise.all([one.reporter.run(), other.reporter.run()])
    await Promise.all([one.reporter.run(), other.reporter.run()])
    assert.deepEqual(summary(made), ['b.example mailto:r@b.example 42 2'])
  })

  it('once, though both are sure at one time that each of them is the only one', async (t) => {
    const made = world(manyRecords(30))
    const open = fleet(made, t)
    const [one, other] = [open(), open()]
    for (const name of Object.keys(made.records)) await one.count(name, 1)
    made.clock.ms = DUE_MS
    const both = [one, other].map(({ store }) => createReporter(reporterOptions(made, store)))
    await Promise.all(both.map((reporter) => reporter.run()))
    assert.equal(made.arrived.length, 30)
    assert.equal(new Set(made.arrived.map(({ name }) => name)).size, 30)
  })

  it('though the node that does it dies at midnight with its counts kept', async (t) => {
    const made = world({ 'b.example': RUA, 'c.example': RUA })
    const open = fleet(made, t)
    const [dying, other] = [open(), open()]
    await dying.count('b.example', 5)
    await other.count('b.example', 6)
    await other.count('c.example', 1)
    made.clock.ms = DUE_MS
    // In the middle of the first report, with the lease in hand: it never comes back.
    let isInHand: () => void = () => {}
    const inHand = new Promise<void>((resolve) => (isInHand = resolve))
    const stuck = createRound({
      ...roundOptions(made, dying.store),
      atOnce: 1,
      send: () => {
        isInHand()
        return new Promise(() => {})
      },
    })
    void stuck(DAY, DUE_MS + DAY_MS, () => true)
    await inHand
    await other.reporter.run()
    assert.equal(made.arrived.length, 1)
    made.clock.ms += 20 * 60_000
    await other.reporter.run()
    assert.equal(made.arrived.length, 1)
    assert.equal(made.log.filter((line) => line.includes('not known')).length, 1)
  })

  it('though Redis is restarted in the middle: nothing twice, nothing lost', async (t) => {
    const names = Array.from({ length: 40 }, (_, at) => `d${at}.example`)
    const made = world(Object.fromEntries(names.map((name) => [name, RUA])))
    const open = fleet(made, t)
    const [one, other] = [open(), open()]
    for (const name of names) await one.count(name, 1)
    await redis.kill()
    await other.count('d0.example', 10)
    await redis.start()
    await eventually(async () => (await other.store.days()).length > 0)
    await other.count('d0.example', 1)
    made.clock.ms = DUE_MS
    let sent = 0
    made.refuses = () => {
      sent += 1
      // On its way as Redis goes: it cannot be marked.
      if (sent === 10) void redis.kill()
      return undefined
    }
    await assert.rejects(one.reporter.run(), TempError)
    await redis.kill()
    await redis.start()
    made.clock.ms += 301_000 // its lease is over
    await eventually(async () => {
      await one.reporter.run()
      await other.reporter.run()
      made.clock.ms += 20 * 60_000
      return (await one.store.progress(DAY)) === 'done'
    })
    assert.equal(made.arrived.length, 40)
    assert.equal(new Set(made.arrived.map(({ name }) => name)).size, 40)
    assert.equal(made.arrived.find(({ name }) => name === 'd0.example')?.successes, 12)
  })

  it('and one whose clock is an hour behind does not add to it any more', async (t) => {
    const made = world({ 'b.example': RUA })
    const open = fleet(made, t)
    const [one, behind] = [open(), open()]
    await one.count('b.example', 1)
    made.clock.ms = endOf(DAY) + 10 * 60_000
    await one.reporter.run()
    made.clock.ms = endOf(DAY) - 50 * 60_000
    await behind.count('b.example', 7)
    made.clock.ms = DUE_MS + DAY_MS
    await one.reporter.run()
    assert.deepEqual(
      made.arrived.map(({ successes, id }) => [successes, id]),
      [
        [1, '2026-11-21.b.example.x1@a.example'],
        [7, '2026-11-22.b.example.x1@a.example'],
      ],
    )
  })
})
