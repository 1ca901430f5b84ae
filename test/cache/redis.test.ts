import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import type { SharedCache } from '../../lib/cache/cache.ts'
import { createRedisCache, type RedisCacheOptions } from '../../lib/cache/redis.ts'
import { TempError } from '../../lib/errors.ts'
import {
  makeCertificates,
  redisMissing,
  startCluster,
  startRedis,
  startSentinel,
  type RedisServer,
} from '../support/redis-server.ts'
import { sharedCacheContract, createTestClock } from './contract.ts'
import { createTestLog } from './log.ts'

const unreachable = (error: unknown): boolean =>
  error instanceof TempError && error.code === 'cache/unreachable'

/** Closed when the test is over. Patient, since the machine may be busy. */
function open(
  t: TestContext,
  options: Omit<RedisCacheOptions, 'clock'> & Partial<RedisCacheOptions>,
): SharedCache {
  const cache = createRedisCache({ clock: createTestClock(), timeoutMs: 5000, ...options })
  t.after(() => cache.close())
  return cache
}

const at = ({ port }: RedisServer): RedisCacheOptions['target'] => ({
  kind: 'single',
  url: `redis://127.0.0.1:${port}`,
})

describe('Redis', { skip: redisMissing }, () => {
  let server: RedisServer
  let prefixes = 0
  before(async () => {
    server = await startRedis()
  })
  after(() => server.close())

  sharedCacheContract('Redis', async (t) => {
    const clock = createTestClock()
    const keyPrefix = `test ${(prefixes += 1)}:`
    return { clock, cache: open(t, { target: at(server), clock, keyPrefix }) }
  })

  it('is written under the prefix, in the database, with an expiry of its own', async (t) => {
    const cache = open(t, {
      target: { kind: 'single', url: `redis://127.0.0.1:${server.port}/5` },
      keyPrefix: 'mine:',
    })
    await cache.set('example.com', 'policy', 3600)
    assert.equal(await server.cli('-n', '5', 'keys', '*'), 'mine:example.com')
    assert.equal(await server.cli('-n', '5', 'ttl', 'mine:example.com'), '3600')
    assert.equal(await server.cli('-n', '0', 'exists', 'mine:example.com'), '0')
  })

  it('is compared with our clock on reading, whatever its own expiry says', async (t) => {
    const clock = createTestClock(1_000_000)
    const cache = open(t, { target: at(server), clock, keyPrefix: 'clock:' })
    await server.cli('set', 'clock:old', '{"v":"x","e":1000000}')
    await server.cli('set', 'clock:new', '{"v":"x","e":1000001}')
    assert.equal(await cache.get('old'), undefined)
    assert.deepEqual(await cache.getEntry('new'), { value: 'x', expiresAtMs: 1_000_001 })
  })

  it('has nothing where something else stands, says so, and is mended by the next value', async (t) => {
    const log = createTestLog()
    const cache = open(t, { target: at(server), log, keyPrefix: 'foreign:' })
    await server.cli('set', 'foreign:rubbish', 'no JSON')
    await server.cli('rpush', 'foreign:list', 'x')
    for (const key of ['rubbish', 'list']) {
      assert.equal(await cache.get(key), undefined)
      await cache.set(key, 'good', 60)
      assert.equal(await cache.get(key), 'good')
    }
    assert.deepEqual(log.lines, [
      'warn cache: Redis holds a foreign value under foreign:rubbish',
      'warn cache: Redis holds a foreign value under foreign:list',
    ])
  })

  it('a value that is not ours is a failure where "never seen" would be an answer', async (t) => {
    const cache = open(t, { target: at(server), keyPrefix: 'strict:', onDamage: 'fail' })
    await server.cli('set', 'strict:rubbish', 'no JSON')
    await server.cli('rpush', 'strict:list', 'x')
    for (const key of ['rubbish', 'list'])
      await assert.rejects(
        cache.get(key),
        (error: unknown) => error instanceof TempError && error.code === 'cache/malformed',
      )
    assert.equal(await cache.get('never'), undefined)
  })

  it('fails in time when it is not there, and works as soon as it is', async (t) => {
    const own = await startRedis()
    t.after(() => own.close())
    await own.kill()
    const cache = open(t, { target: at(own), timeoutMs: 100 })
    await assert.rejects(cache.get('a'), unreachable)
    await assert.rejects(cache.set('a', 'x', 60), unreachable)
    await own.start()
    await untilFulfilled(() => cache.set('a', 'x', 60))
    assert.equal(await cache.get('a'), 'x')
    await own.kill()
    await assert.rejects(cache.get('a'), unreachable)
    await own.start()
    await untilFulfilled(() => cache.get('a'))
  })

  it('fails in time when it is silent, and works as soon as it speaks', async (t) => {
    const own = await startRedis()
    t.after(() => own.close())
    const cache = open(t, { target: at(own), timeoutMs: 150 })
    await untilFulfilled(() => cache.set('a', 'x', 60))
    own.pause()
    for (let i = 0; i < 5; i += 1) await assert.rejects(cache.get('a'), unreachable)
    own.resume()
    assert.equal(await untilFulfilled(() => cache.get('a')), 'x')
  })

  it('lists keys under its own prefix alone, those with foreign values too', async (t) => {
    const cache = open(t, { target: at(server), keyPrefix: 'list*:' })
    await cache.set('mine', 'x', 60)
    await server.cli('set', 'list*:foreign', 'no JSON')
    await server.cli('set', 'list-other:mine', '{"v":"x","e":9e15}')
    assert.deepEqual([...(await cache.keys(''))].sort(), ['foreign', 'mine'])
  })

  it('fails when it is full', async (t) => {
    const own = await startRedis({ args: ['--maxmemory', '1', '--maxmemory-policy', 'noeviction'] })
    t.after(() => own.close())
    const cache = open(t, { target: at(own) })
    await assert.rejects(cache.set('a', 'x', 60), unreachable)
    assert.equal(await cache.get('a'), undefined)
  })

  it('is not asked after it was closed', async () => {
    const cache = createRedisCache({ clock: createTestClock(), target: at(server) })
    await cache.close()
    await assert.rejects(cache.get('a'), unreachable)
  })

  it('lets in the user of an ACL, and no password shows when it does not', async (t) => {
    const user = [
      '--user',
      'mail',
      'on',
      '>s3cr:t/',
      '~hisho:*',
      '+@all',
      '--user',
      'default',
      'off',
    ]
    const own = await startRedis({ args: user })
    t.after(() => own.close())
    const cache = open(t, {
      target: { kind: 'single', url: `redis://mail:s3cr%3At%2F@127.0.0.1:${own.port}` },
    })
    await cache.set('a', 'x', 60)
    assert.equal(await cache.get('a'), 'x')
    const separate = open(t, { target: at(own), username: 'mail', password: 's3cr:t/' })
    assert.equal(await separate.get('a'), 'x')
    const wrong = open(t, { target: at(own), username: 'mail', password: 'wr0ng' })
    await assert.rejects(wrong.get('a'), (error) => {
      assert.ok(error instanceof TempError)
      assert.match(error.message, /WRONGPASS/)
      assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`, /wr0ng/)
      return true
    })
    const other = open(t, {
      target: at(own),
      username: 'mail',
      password: 's3cr:t/',
      keyPrefix: 'no:',
    })
    await assert.rejects(other.get('a'), unreachable)
  })

  it('is asked again after it took the password back and gave it again', async (t) => {
    const own = await startRedis({ args: ['--user', 'mail', 'on', '>s3cret', '~*', '+@all'] })
    t.after(() => own.close())
    const cache = open(t, { target: at(own), username: 'mail', password: 's3cret' })
    await cache.set('a', 'x', 60)
    await own.cli('acl', 'setuser', 'mail', 'off')
    await own.cli('client', 'kill', 'user', 'mail')
    while (await succeeds(cache.get('a')));
    await own.cli('acl', 'setuser', 'mail', 'on')
    assert.equal(await untilFulfilled(() => cache.get('a')), 'x')
  })

  it('shows no password even if the server quotes the command', async (t) => {
    const own = await startRedis({ args: ['--rename-command', 'AUTH', ''] })
    t.after(() => own.close())
    const cache = open(t, { target: at(own), password: 's3cret' })
    await assert.rejects(cache.get('a'), (error) => {
      assert.ok(error instanceof TempError)
      assert.match(error.message, /unknown command.*\*\*\*/)
      assert.doesNotMatch(`${error.stack} ${String(error.cause)}`, /s3cret/)
      return true
    })
  })

  it('is reached by TLS under the CA that is given, and not without it', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'hisho-tls-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const tls = await makeCertificates(folder)
    const own = await startRedis({ tls })
    t.after(() => own.close())
    const target = { kind: 'single', url: `rediss://127.0.0.1:${own.port}` } as const
    const cache = open(t, { target, ca: readFileSync(tls.ca, 'utf8') })
    await cache.set('a', 'x', 60)
    assert.equal(await cache.get('a'), 'x')
    await assert.rejects(open(t, { target, timeoutMs: 300 }).get('a'), unreachable)
    await assert.rejects(open(t, { target: at(own), timeoutMs: 300 }).get('a'), unreachable)
  })

  it('is found by a sentinel', async (t) => {
    const own = await startRedis()
    t.after(() => own.close())
    const sentinel = await startSentinel(own)
    t.after(() => sentinel.close())
    const sentinels = [{ host: '127.0.0.1', port: sentinel.port }]
    const cache = open(t, { target: { kind: 'sentinel', name: 'mail', sentinels, database: 2 } })
    await cache.set('a', 'x', 60)
    assert.equal(await cache.get('a'), 'x')
    assert.equal(await own.cli('-n', '2', 'keys', '*'), 'hisho:a')
    assert.deepEqual(await cache.keys(''), ['a'])
    assert.equal(await cache.setIfAbsent('a', 'y', 60), false)

    const quick = open(t, { target: { kind: 'sentinel', name: 'mail', sentinels }, timeoutMs: 200 })
    await untilFulfilled(() => quick.get('a'))
    await own.kill()
    await assert.rejects(quick.get('a'), unreachable)
    await own.start()
    await untilFulfilled(() => quick.set('a', 'y', 60))
  })

  it('fails in time when no sentinel is there', async (t) => {
    const sentinels = [{ host: '127.0.0.1', port: 1 }]
    const target = { kind: 'sentinel', name: 'mail', sentinels } as const
    const cache = open(t, { target, timeoutMs: 100 })
    for (let i = 0; i < 4; i += 1) await assert.rejects(cache.get('a'), unreachable)
  })

  it('may be a cluster', async (t) => {
    const nodes = await startCluster()
    t.after(() => Promise.all(nodes.map((node) => node.close())))
    const [first] = nodes
    assert.ok(first)
    const cache = open(t, {
      target: { kind: 'cluster', nodes: [{ host: '127.0.0.1', port: first.port }] },
    })
    const keys = Array.from({ length: 30 }, (_, i) => `${i}.example`)
    await Promise.all(keys.map((key) => cache.set(key, key, 60)))
    assert.deepEqual(await Promise.all(keys.map((key) => cache.get(key))), keys)
    for (const node of nodes) assert.notEqual(await node.cli('dbsize'), '0')
    assert.deepEqual([...(await cache.keys(''))].sort(), keys.sort())
    assert.equal(await cache.setIfAbsent('lease', 'mine', 60), true)
    assert.equal(await cache.setIfAbsent('lease', 'yours', 60), false)

    const quick = open(t, {
      target: { kind: 'cluster', nodes: [{ host: '127.0.0.1', port: first.port }] },
      timeoutMs: 200,
    })
    await untilFulfilled(() => quick.get('0.example'))
    await Promise.all(nodes.map((node) => node.kill()))
    await assert.rejects(quick.get('0.example'), unreachable)
    await Promise.all(nodes.map((node) => node.start()))
    await untilFulfilled(() => quick.set('0.example', 'again', 60))
  })

  it('fails in time when no node of the cluster is there', async (t) => {
    const target = { kind: 'cluster', nodes: [{ host: '127.0.0.1', port: 1 }] } as const
    const cache = open(t, { target, timeoutMs: 100 })
    for (let i = 0; i < 4; i += 1) await assert.rejects(cache.get('a'), unreachable)
  })
})

/** For what takes a moment to be seen: asked until it works, within the time of the test. */
async function untilFulfilled<T>(action: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await action()
    } catch (error) {
      if (!unreachable(error)) throw error
      await new Promise(setImmediate)
    }
  }
}

async function succeeds(action: Promise<unknown>): Promise<boolean> {
  return action.then(
    () => true,
    () => false,
  )
}
