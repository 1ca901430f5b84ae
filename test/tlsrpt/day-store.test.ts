// What keeps the counts of a day: the same promises, on the disk and in Redis.
import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readdirSync, rmSync, truncateSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createRedisScripts } from '../../lib/cache/redis-scripts.ts'
import { TempError } from '../../lib/errors.ts'
import type { Count } from '../../lib/tlsrpt/count.ts'
import type { DayStore } from '../../lib/tlsrpt/day-store.ts'
import { createFileStore } from '../../lib/tlsrpt/file-store.ts'
import { createRedisStore } from '../../lib/tlsrpt/redis-store.ts'
import { createTally } from '../../lib/tlsrpt/tally.ts'
import {
  redisMissing,
  startCluster,
  startRedis,
  type RedisServer,
} from '../support/redis-server.ts'

const DAY = '2026-11-21'
const NOW_MS = Date.UTC(2026, 10, 22, 1)
const clock = { nowMs: () => NOW_MS }

function count(name: string, successes: number, more: Partial<Count> = {}): Count {
  return {
    name,
    via: undefined,
    policy: {
      policyType: 'sts',
      policyDomain: name,
      policyStrings: ['version: STSv1', 'mode: enforce'],
      mxHosts: [`*.${name}`],
    },
    successfulSessions: successes,
    failedSessions: 0,
    failures: [],
    ...more,
  }
}

const FAILED: Partial<Count> = {
  failedSessions: 2,
  failures: [
    {
      resultType: 'starttls-not-supported',
      failedSessions: 2,
      receivingMxHostname: 'mx.b.example',
      receivingIp: '192.0.2.1',
      failureReasonCode: 'it offers no "STARTTLS"',
    },
  ],
}

/** All of a day, summed up, by name and via. */
async function all(
  store: DayStore,
  kind: 'domains' | 'hosts' = 'domains',
): Promise<readonly Count[]> {
  const of = await store.parts(DAY)
  const tally = createTally({ maxNames: 1e6, maxPolicies: 100, maxFailures: 1000 })
  for (let part = 0; part < of; part += 1)
    for await (const one of store.read(DAY, { part, of, kind })) tally.add(one)
  return tally.drain().toSorted((one, other) => (one.name < other.name ? -1 : 1))
}

/** `open`: two processes that share what they keep. */
function contract(title: string, open: () => readonly [DayStore, DayStore]): void {
  describe(`${title} keeps the counts of a day`, () => {
    it('of several processes, each batch once, and domains apart from hosts', async () => {
      const [one, other] = open()
      const batch = {
        id: 'batch-1',
        counts: [count('b.example', 3), count('c.example', 1, FAILED)],
      }
      assert.equal(await one.add(DAY, batch), 'kept')
      assert.equal(await one.add(DAY, batch), 'kept')
      await other.add(DAY, { id: 'batch-2', counts: [count('b.example', 4)] })
      await other.add(DAY, {
        id: 'batch-3',
        counts: [count('mx.b.example', 2, { via: 'b.example' })],
      })
      assert.deepEqual(await all(one), [count('b.example', 7), count('c.example', 1, FAILED)])
      assert.deepEqual(await all(other, 'hosts'), [count('mx.b.example', 2, { via: 'b.example' })])
      assert.deepEqual(await one.days(), [DAY])
      await Promise.all([one.close(), other.close()])
    })

    it('and nothing once it is closed, whoever comes', async () => {
      const [one, other] = open()
      await one.add(DAY, { id: '1', counts: [count('b.example', 1)] })
      await one.closeDay(DAY)
      assert.equal(await one.add(DAY, { id: '2', counts: [count('b.example', 1)] }), 'closed')
      assert.equal(await other.add(DAY, { id: '3', counts: [count('b.example', 1)] }), 'closed')
      assert.deepEqual(await all(other), [count('b.example', 1)])
      await Promise.all([one.close(), other.close()])
    })

    it('and lets one of several send a report, and another one try again after a failure', async () => {
      const [one, other] = open()
      const names = Array.from({ length: 50 }, (_, at) => `d${at}.example`)
      const claims = names.map((name) => ({ name, attempt: 1 }))
      const [first, second] = await Promise.all([
        one.claim(DAY, 'one', claims, NOW_MS),
        other.claim(DAY, 'other', claims, NOW_MS),
      ])
      assert.deepEqual([...first, ...second].toSorted(), names.toSorted())
      const winner = first.includes('d0.example') ? 'one' : 'other'
      const d0 = [{ name: 'd0.example', attempt: 1 }]
      assert.deepEqual(await one.claim(DAY, winner, d0, NOW_MS), ['d0.example'])
      assert.deepEqual(await one.claim(DAY, 'third', d0, NOW_MS), [])
      const state = { status: 'failed', attempt: 1, owner: winner, atMs: NOW_MS } as const
      await one.settle(DAY, 'd0.example', state)
      assert.deepEqual((await other.states(DAY)).get('d0.example'), state)
      assert.deepEqual(await other.claim(DAY, 'third', d0, NOW_MS), [])
      const again = [{ name: 'd0.example', attempt: 2 }]
      assert.deepEqual(await other.claim(DAY, 'third', again, NOW_MS), ['d0.example'])
      await Promise.all(
        ['d0.example', 'none.example'].map((name) =>
          other.settle(DAY, name, { status: 'sent', attempt: 2, owner: 'third', atMs: NOW_MS }),
        ),
      )
      const states = await one.states(DAY)
      assert.equal(states.get('d0.example')?.status, 'sent')
      assert.equal(states.get('none.example'), undefined)
      assert.deepEqual(
        await one.claim(DAY, 'one', [{ name: 'd0.example', attempt: 3 }], NOW_MS),
        [],
      )
      await Promise.all([one.close(), other.close()])
    })

    it('and how far the day is', async () => {
      const [store, other] = open()
      await store.add(DAY, { id: '1', counts: [count('b.example', 1)] })
      assert.equal(await store.progress(DAY), 'open')
      await store.setProgress(DAY, 'walked')
      assert.equal(await store.progress(DAY), 'walked')
      await store.setProgress(DAY, 'done')
      assert.equal(await other.progress(DAY), 'done')
      await Promise.all([store.close(), other.close()])
    })
  })
}

const folder = mkdtempSync(join(tmpdir(), 'hisho-days-'))
let folders = 0
after(() => rmSync(folder, { recursive: true, force: true }))

const warnings: string[] = []
const log = (_level: string, message: string): void => void warnings.push(message)
const fileStore = (name: number): DayStore =>
  createFileStore({ directory: join(folder, `${name}`), log })

contract('the disk', () => {
  folders += 1
  return [fileStore(folders), fileStore(folders)]
})

describe('the disk', () => {
  it('leaves out a line that a crash has torn, and goes on after it', async () => {
    const directory = join(folder, 'torn')
    const store = createFileStore({ directory, log })
    await store.add(DAY, { id: '1', counts: [count('b.example', 1)] })
    await store.add(DAY, { id: '2', counts: [count('b.example', 10)] })
    await store.close()
    const [name = ''] = readdirSync(join(directory, DAY)).filter((one) => one.endsWith('.counts'))
    const file = join(directory, DAY, name)
    truncateSync(file, statSync(file).size - 20)
    assert.deepEqual(await all(store), [count('b.example', 1)])
    assert.match(warnings.join(), /torn/)
    // The same process, which could not write the whole of it.
    await store.add(DAY, { id: '3', counts: [count('b.example', 100)] })
    assert.deepEqual(await all(store), [count('b.example', 101)])
    await store.close()
  })

  it('takes nothing of a ledger for true that is torn or foreign', async () => {
    const directory = join(folder, 'ledger')
    const store = createFileStore({ directory, log })
    await store.claim(DAY, 'one', [{ name: 'b.example', attempt: 1 }], NOW_MS)
    appendFileSync(join(directory, DAY, 'ledger'), '\n["s","b.example",1,"one",1,"se')
    assert.equal((await store.states(DAY)).get('b.example')?.status, 'claimed')
    await store.settle(DAY, 'b.example', { status: 'sent', attempt: 1, owner: 'one', atMs: 1 })
    assert.equal((await store.states(DAY)).get('b.example')?.status, 'sent')
    await store.close()
  })

  it('takes counts at once as the process ends, also in the midst of others, and each batch once', async () => {
    const directory = join(folder, 'at-once')
    const store = createFileStore({ directory, log })
    const batches = Array.from({ length: 5 }, (_, at) => ({
      id: `${at}`,
      counts: [count('b.example', 10 ** at)],
    }))
    assert.equal(store.addAtOnce(DAY, batches[0]!), 'kept') // the first of the day
    const writing = store.add(DAY, batches[1]!)
    for (const batch of batches.slice(1)) assert.equal(store.addAtOnce(DAY, batch), 'kept')
    await writing
    assert.deepEqual(await all(store), [count('b.example', 11_111)])
    await store.closeDay(DAY)
    assert.equal(store.addAtOnce(DAY, { id: '9', counts: [count('b.example', 1)] }), 'closed')
    assert.deepEqual(await all(store), [count('b.example', 11_111)])
    await store.close()
  })

  it('refuses what is beyond its size, and a directory that cannot be written', async () => {
    const small = createFileStore({ directory: join(folder, 'small'), log, maxBytes: 150 })
    await small.add(DAY, { id: '1', counts: [count('b.example', 1)] })
    await assert.rejects(small.add(DAY, { id: '2', counts: [count('b.example', 1)] }), TempError)
    await small.close()
    const none = createFileStore({ directory: '/dev/null/x', log })
    await assert.rejects(none.add(DAY, { id: '1', counts: [] }), TempError)
    await assert.rejects(none.states(DAY), TempError)
  })

  it('forgets what is older', async () => {
    const store = createFileStore({ directory: join(folder, 'old'), log })
    await store.add('2026-11-01', { id: '1', counts: [count('b.example', 1)] })
    await store.add(DAY, { id: '2', counts: [count('b.example', 1)] })
    await store.prune('2026-11-10')
    assert.deepEqual(await store.days(), [DAY])
    await store.close()
  })
})

describe('Redis', { skip: redisMissing }, () => {
  let server: RedisServer
  let prefix = 0
  before(async () => {
    server = await startRedis()
  })
  after(() => server.close())

  const redisStore = (name: number, maxFields = 1000): DayStore =>
    createRedisStore({
      redis: createRedisScripts({
        target: { kind: 'single', url: `redis://127.0.0.1:${server.port}` },
        keyPrefix: `t${name}:`,
        timeoutMs: 5000,
      }),
      clock,
      keepDays: 7,
      log,
      maxFields,
    })

  contract('it', () => {
    prefix += 1
    return [redisStore(prefix), redisStore(prefix)]
  })

  it('counts without details what is too various, and says what it has no room for', async () => {
    const store = redisStore((prefix += 1), 4)
    const failures = Array.from({ length: 20 }, (_, at) => ({
      resultType: 'validation-failure',
      failedSessions: 1,
      receivingIp: `192.0.2.${at}`,
    }))
    await store.add(DAY, { id: '1', counts: [count('b.example', 0, { failures })] })
    const [one] = await all(store)
    assert.equal(one?.failedSessions, 20)
    assert.equal(one?.failures.length, 5)
    warnings.length = 0
    const counts = Array.from({ length: 2000 }, (_, at) => count(`d${at}.example`, 1))
    await store.add(DAY, { id: '2', counts })
    assert.match(warnings.join(), /counts are lost/)
    await store.close()
  })

  it('knows a batch that comes again after the day was closed', async () => {
    const store = redisStore((prefix += 1))
    const batch = { id: '1', counts: [count('b.example', 1)] }
    await store.add(DAY, batch)
    await store.closeDay(DAY)
    assert.equal(await store.add(DAY, batch), 'kept') // so it is not passed on to the next day
    assert.deepEqual(await all(store), [count('b.example', 1)])
    await store.close()
  })

  it('keeps nothing for ever', async () => {
    const store = redisStore((prefix += 1))
    await store.add(DAY, { id: '1', counts: [count('b.example', 1)] })
    await store.claim(DAY, 'one', [{ name: 'b.example', attempt: 1 }], NOW_MS)
    const keys = (await server.cli('--raw', 'keys', `t${prefix}:*`)).split('\n')
    assert.equal(keys.length, 4)
    for (const key of keys) {
      const seconds = Number(await server.cli('ttl', key))
      // Of batches there are a great many.
      const most = key.includes('/batch/') ? 6 * 3600 : 9 * 86_400
      assert.ok(seconds > 0 && seconds <= most, `${key}: ${seconds}`)
    }
    await store.close()
  })

  it('is one TempError when it is away', async () => {
    const away = await startRedis()
    const redis = createRedisScripts({
      target: { kind: 'single', url: `redis://127.0.0.1:${away.port}` },
      timeoutMs: 200,
    })
    const store = createRedisStore({ redis, clock, keepDays: 7, log })
    await away.close()
    await assert.rejects(store.add(DAY, { id: '1', counts: [] }), TempError)
    await assert.rejects(store.days(), TempError)
    await store.close()
  })

  it('is a Cluster as well', async () => {
    const nodes = await startCluster()
    const redis = createRedisScripts({
      target: {
        kind: 'cluster',
        nodes: nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
      },
      timeoutMs: 5000,
    })
    const store = createRedisStore({ redis, clock, keepDays: 7, log })
    await store.add(DAY, {
      id: '1',
      counts: Array.from({ length: 30 }, (_, at) => count(`d${at}.example`, 1)),
    })
    assert.equal((await all(store)).length, 30)
    assert.deepEqual(await store.days(), [DAY])
    await store.close()
    await Promise.all(nodes.map((node) => node.close()))
  })
})
