import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import type { Cache } from '../../../lib/cache/cache.ts'
import { createMemoryCache } from '../../../lib/cache/memory.ts'
import { systemClock } from '../../../lib/clock.ts'
import type { WorkerPool } from '../../../lib/crypto/pool.ts'
import { createResolver } from '../../../lib/dns/resolver.ts'
import { PermError, TempError } from '../../../lib/errors.ts'
import { createDirectory, type Directory } from '../../../lib/ibe/directory/directory.ts'
import { createIbe, createIbePool, type Ibe } from '../../../lib/ibe/ibe.ts'
import type { IbeJobs } from '../../../lib/ibe/jobs.ts'
import { formatParameters } from '../../../lib/ibe/parameters.ts'
import { TRUST_SOURCES } from '../../../lib/mail/scheme.ts'
import { startDnsServer, type DnsServer, type ZoneEntry } from '../../support/dns-server.ts'
import { checkBy } from '../checks.ts'

const NAME = '_ibemailkey.b.example'

describe('the parameters that a domain publishes', () => {
  let pool: WorkerPool<IbeJobs>
  let ibe: Ibe
  let keys: Uint8Array[] = []
  let dns: DnsServer
  let cache: Cache
  let directory: Directory
  let nowMs = 0
  let log: string[] = []

  before(async () => {
    pool = createIbePool({ size: 1, queueLimit: 100 })
    ibe = createIbe({ pool, clock: systemClock })
    keys = []
    for (let at = 0; at < 3; at++) keys.push(await ibe.publicKey(await ibe.generateMasterKey()))
  })
  after(() => pool.close())
  beforeEach(async () => {
    dns = await startDnsServer()
    nowMs = 1_800_000_000_000
    log = []
    const clock = { nowMs: () => nowMs }
    cache = createMemoryCache({ clock, maxEntries: 100 })
    directory = createDirectory({
      resolver: createResolver({
        servers: [{ address: dns.address, port: dns.port, trusted: true }],
        timeoutMs: 200,
        tries: 1,
      }),
      cache,
      clock,
      store: createMemoryCache({ clock, maxEntries: 100 }),
      ttl: { floorSeconds: 60, ceilingSeconds: 86_400 },
      check: checkBy(ibe),
      verifyRecord: (request) => ibe.verifyRecord(request),
      log: (_level, message) => log.push(message),
    })
  })
  afterEach(() => dns.close())

  const record = (
    n: number,
    options: { key?: Uint8Array; notAfterSeconds?: number } = {},
  ): string => {
    const { key = keys[0]!, notAfterSeconds } = options
    const base = { version: '2.0', scheme: 'bf', n, period: 'month', publicKey: key } as const
    return formatParameters(notAfterSeconds === undefined ? base : { ...base, notAfterSeconds })
  }
  const publish = (TXT: readonly string[], more: Partial<ZoneEntry> = {}): void => {
    dns.zone[NAME] = { TXT, authentic: true, ...more }
  }
  const serial = async (): Promise<number | undefined> =>
    (await directory.encryptionParameters('b.example', TRUST_SOURCES))?.parameters.n

  it('are found', async () => {
    publish([record(3)])
    assert.equal(await serial(), 3)
    assert.deepEqual(
      dns.queries.map(({ name, type }) => `${name} ${type}`),
      [`${NAME} TXT`],
    )
  })

  it('are those of the highest serial', async () => {
    publish([record(2), record(10, { key: keys[1]! }), record(9, { key: keys[2]! })])
    assert.equal(await serial(), 10)
  })

  it('are not those whose time is over', async () => {
    const now = nowMs / 1000
    publish([record(1), record(2, { key: keys[1]!, notAfterSeconds: now - 1 })])
    assert.equal(await serial(), 1)
    assert.deepEqual(log, [])
  })

  it('end at their time although they are remembered', async () => {
    publish([record(1), record(2, { key: keys[1]!, notAfterSeconds: nowMs / 1000 + 10 })])
    assert.equal(await serial(), 2)
    nowMs += 11_000
    assert.equal(await serial(), 1)
    assert.equal(dns.queries.length, 1)
  })

  it('are none where all are past', async () => {
    publish([record(1, { notAfterSeconds: 1 })])
    assert.equal(await serial(), undefined)
  })

  it('are none where records are not ours', async () => {
    publish(['v=spf1 -all', 'hello'])
    assert.equal(await serial(), undefined)
    assert.deepEqual(log, [])
  })

  it('cannot be said where two records claim one serial', async () => {
    publish([record(1), record(1, { key: keys[1]! })])
    await assert.rejects(serial(), TempError)
  })

  it('a broken record is left out and logged, once', async () => {
    publish([record(1), 'ver=2.0; a=bf; c=bls12-381; n=zero; p=month; P='])
    assert.equal(await serial(), 1)
    assert.equal(await serial(), 1)
    assert.equal(log.length, 1)
    assert.match(log[0] ?? '', /^b\.example: a record at _ibemailkey is left out: /)
  })

  it('broken records alone are a failure, not an absence', async () => {
    publish(['ver=2.0; a=bf'])
    await assert.rejects(
      serial(),
      (error: unknown) => error instanceof PermError && error.code === 'ibe/parameters',
    )
  })

  it('a point off the curve is refused', async () => {
    const bent = Uint8Array.from(keys[0]!)
    bent[95]! ^= 1
    assert.equal(await ibe.checkPublicKey(bent), false)
    publish([record(2, { key: bent })])
    await assert.rejects(
      serial(),
      (error: unknown) => error instanceof PermError && error.code === 'ibe/parameters',
    )
    publish([record(2, { key: bent }), record(1)])
    nowMs += 86_400_000
    assert.equal(await serial(), 1)
    assert.match(log.join('\n'), /left out: a=bf n=2: P is no point that can be used/)
  })

  it('strings of one record are joined without a space', async () => {
    const text = record(4)
    dns.zone[NAME] = { TXT: [[text.slice(0, 20), text.slice(20, 21), text.slice(21)]] }
    assert.equal(await serial(), 4)
  })

  for (const [ttl, remembered] of [
    [0, 60],
    [1, 60],
    [300, 300],
    [10_000_000, 86_400],
  ] as const) {
    it(`a TTL of ${ttl} s is remembered for ${remembered} s`, async () => {
      publish([record(1)], { ttl })
      await serial()
      publish([record(2)], { ttl })
      nowMs += remembered * 1000 - 1
      assert.equal(await serial(), 1)
      nowMs += 1
      assert.equal(await serial(), 2)
      assert.equal(dns.queries.length, 2)
    })
  }

  for (const [title, zone] of [
    ['no such name', {}],
    ['no such record', { [NAME]: { A: ['192.0.2.1'] } }],
  ] as const) {
    it(`their absence is remembered: ${title}`, async () => {
      Object.assign(dns.zone, zone)
      assert.equal(await serial(), undefined)
      publish([record(1)])
      nowMs += 59_000
      assert.equal(await serial(), undefined)
      assert.equal(dns.queries.length, 1)
      nowMs += 1_000
      assert.equal(await serial(), 1)
    })
  }

  for (const [misbehave, code] of [
    ['servfail', 'dns/servfail'],
    ['refused', 'dns/refused'],
    ['drop', 'dns/timeout'],
  ] as const) {
    it(`a failed look-up is no absence and is not remembered: ${misbehave}`, async () => {
      publish([record(1)], { misbehave })
      await assert.rejects(
        serial(),
        (error: unknown) => error instanceof TempError && error.code === code,
      )
      publish([record(1)])
      assert.equal(await serial(), 1)
    })
  }

  it('fifty look-ups at once are one query', async () => {
    publish([record(1)], { delayMs: 20 })
    const found = await Promise.all(Array.from({ length: 50 }, serial))
    assert.deepEqual([...new Set(found)], [1])
    assert.equal(dns.queries.length, 1)
  })

  it('fifty look-ups that fail at once are one query, and fail all', async () => {
    publish([], { misbehave: 'servfail', delayMs: 20 })
    const found = await Promise.allSettled(Array.from({ length: 50 }, serial))
    assert.ok(found.every(({ status }) => status === 'rejected'))
    assert.equal(dns.queries.length, 1)
  })

  it('rubbish in the cache is as good as nothing', async () => {
    publish([record(1)])
    for (const value of ['', '{', '"x"', '[1]', 'null']) {
      await cache.set('ibe/parameters/b.example', value, 100)
      assert.equal(await serial(), 1)
    }
  })

  it('the records as they stand are asked for past the cache', async () => {
    publish([record(1)], { ttl: 77 })
    await serial()
    assert.deepEqual(await directory.publishedRecords('b.example'), {
      texts: [record(1)],
      ttlSeconds: 77,
      authentic: true,
    })
    assert.equal(dns.queries.length, 2)
  })

  it('an error in the check of a point is passed on', async () => {
    publish([record(1)])
    const failing = createDirectory({
      resolver: createResolver({
        servers: [{ address: dns.address, port: dns.port, trusted: true }],
      }),
      cache,
      store: createMemoryCache({ clock: systemClock, maxEntries: 100 }),
      clock: systemClock,
      ttl: { floorSeconds: 0, ceilingSeconds: 1 },
      check: async () => {
        throw new TempError('crypto/busy', 'too much')
      },
      verifyRecord: async () => false,
      log: () => {},
    })
    await assert.rejects(failing.encryptionParameters('b.example', TRUST_SOURCES), TempError)
  })
})
