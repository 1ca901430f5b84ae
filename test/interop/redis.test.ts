// Gateways that share a Redis: what one has learned the others know, and nothing that befalls Redis stops mail.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { isCiphertext } from '../support/arrival.ts'
import { startHaraka, type Haraka } from '../support/haraka.ts'
import { redisMissing, startRedis, type RedisServer } from '../support/redis-server.ts'
import { hishoIni, PASSWORD, siteEnvironment, siteFiles, USER } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import { letter, startWorld, type World } from '../support/world.ts'

const DOMAINS = Array.from({ length: 120 }, (_, at) => `d${at}.example`)
const KEY = 'hisho:ibe/parameters/'
const DOWN = /cache: going on with memory alone/g
const BACK = /cache: Redis is back/g

describe('gateways that share a Redis', { skip: redisMissing }, () => {
  let redis: RedisServer
  let world: World
  let used = 0

  before(async () => {
    redis = await startRedis()
    const files = (dnsPort: number) => ({ 'config/hisho.ini': redisIni(dnsPort) })
    world = await startWorld({
      plainDomains: DOMAINS,
      tableA: "  '*': { encrypt: required }",
      filesA: files,
      filesB: files,
    })
    for (const domain of DOMAINS)
      // Who publishes under DNSSEC does not depend on what is remembered.
      world.dns.zone[`_ibemailkey.${domain}`] = { TXT: [world.keysB.record], authentic: true }
  })
  after(async () => {
    await Promise.all([world?.close(), redis?.close()])
  })
  beforeEach(() => world.c.clear())

  const redisIni = (dnsPort: number): string =>
    hishoIni(dnsPort, `[redis]\nurl=redis://127.0.0.1:${redis.port}/0\ntimeout_ms=300\n`)

  /** To a domain that nobody has heard of yet, so that the cache is asked and told; or to one that is known. */
  const sendTo = async (domain: string = DOMAINS[used++]!, from: Haraka = world.a) => {
    const before = world.c.deliveries.length
    const reply = await submit({
      port: from.port,
      from: 'alice@a.example',
      to: [`x@${domain}`],
      message: Buffer.from(letter('elderberry', { To: `x@${domain}` })),
      user: USER,
      password: PASSWORD,
    })
    assert.equal(reply.code, 250, `${reply.text}\n${from.log().slice(-2000)}`)
    const deliveries = await world.c.waitFor(before + 1)
    assert.ok(isCiphertext(deliveries[before]!.message))
    assert.ok(!world.c.wire().includes('elderberry'))
    return domain
  }

  const count = (pattern: RegExp): number => world.a.log().match(pattern)?.length ?? 0

  /** While Redis is ill, mail goes on and the log says so once; when it is well, it is found again and used. */
  async function assertSurvives(makeIll: () => Promise<void>, makeWell: () => Promise<void>) {
    const [down, back] = [count(DOWN), count(BACK)]
    await makeIll()
    for (let times = 0; times < 3; times++) await sendTo()
    assert.equal(count(DOWN), down + 1)
    assert.equal(count(BACK), back)
    await makeWell()
    const end = Date.now() + 30_000
    while (count(BACK) === back) {
      assert.ok(Date.now() < end, 'Redis was not found again')
      await sendTo()
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    const domain = await sendTo()
    assert.notEqual(await redis.cli('get', KEY + domain), '')
    assert.equal(count(DOWN), down + 1, 'said once')
    assert.equal(count(BACK), back + 1, 'said once')
  }

  async function withSecondGateway(use: (haraka: Haraka) => Promise<void>): Promise<void> {
    const haraka = await startHaraka({
      environment: siteEnvironment(world.keysA),
      files: siteFiles({
        domain: 'a.example',
        keys: world.keysA,
        dnsPort: world.dns.port,
        mailbox: world.inboxA.port,
        routes: Object.fromEntries(DOMAINS.map((domain) => [domain, world.c.port])),
        table: "  '*': { encrypt: required }",
        files: { 'config/hisho.ini': redisIni(world.dns.port) },
      }),
    })
    try {
      await use(haraka)
    } finally {
      await haraka.stop()
    }
  }

  const asked = (domain: string): number =>
    world.dns.queries.filter(({ name }) => name === `_ibemailkey.${domain}`).length

  it('keep there what domains publish, under the prefix and for its TTL', async () => {
    const domain = await sendTo()
    assert.match(await redis.cli('get', KEY + domain), /ver=2\.0; a=bf/)
    const ttl = Number(await redis.cli('ttl', KEY + domain))
    assert.ok(ttl > 250 && ttl <= 300, `${ttl} s`)
    const keys = (await redis.cli('keys', '*')).split('\n')
    assert.deepEqual(
      keys.filter((key) => !key.startsWith('hisho:')),
      [],
    )
  })

  it('need not ask DNS for what another one has learned', async () => {
    const domain = await sendTo()
    const before = asked(domain)
    assert.ok(before > 0)
    await withSecondGateway(async (second) => {
      await sendTo(domain, second)
      assert.equal(asked(domain), before)
    })
  })

  it('go on when Redis is killed, and find it again when it is started', async () => {
    await assertSurvives(redis.kill, redis.start)
  })

  it('defer what only their memory could vouch for while it is gone: never "first seen"', async () => {
    const domain = DOMAINS[used++]!
    world.dns.zone[`_ibemailkey.${domain}`] = { TXT: [world.keysB.record] }
    const deferred = async (): Promise<void> => {
      await redis.kill()
      const reply = await submit({
        port: world.a.port,
        from: 'alice@a.example',
        to: [`x@${domain}`],
        message: Buffer.from(letter('elderberry', { To: `x@${domain}` })),
        user: USER,
        password: PASSWORD,
      })
      assert.equal(reply.code, 450, reply.text)
      await world.a.waitForLog(/cache\/unreachable/)
    }
    await assertSurvives(deferred, redis.start)
    await sendTo(domain)
    assert.match(await redis.cli('get', `hisho:ibe/remembered/${domain}`), /ver=2\.0; a=bf/)
  })

  it('go on when Redis no longer answers, and find it again when it does', async () => {
    await assertSurvives(
      async () => redis.pause(),
      async () => redis.resume(),
    )
  })

  it('go on when Redis is full, and use it again when there is space', async () => {
    await assertSurvives(
      async () => void (await redis.cli('config', 'set', 'maxmemory', '1')),
      async () => void (await redis.cli('config', 'set', 'maxmemory', '0')),
    )
  })

  it('learn anew what was flushed', async () => {
    const domain = await sendTo()
    await redis.cli('flushall')
    await sendTo(domain) // from its own memory
    const before = asked(domain)
    await withSecondGateway(async (second) => {
      await sendTo(domain, second)
      assert.equal(asked(domain), before + 1)
      assert.match(await redis.cli('get', KEY + domain), /ver=2\.0; a=bf/)
    })
  })

  it('take rubbish for nothing, say so, and write over it', async () => {
    const rubbish: readonly (readonly string[])[] = [
      ['set', 'rubbish'],
      ['set', ''],
      ['set', '{"value":"[]","expiresAtMs":9e15'],
      ['set', '[1,2,3]'],
      ['rpush', 'a list'],
      ['sadd', 'a set'],
    ]
    for (const [command, value] of rubbish) {
      const domain = DOMAINS[used]!
      await redis.cli(command!, KEY + domain, value!)
      await sendTo()
      await world.a.waitForLog(
        new RegExp(`foreign value under ${KEY}${domain.replace('.', '\\.')}`),
      )
      assert.match(await redis.cli('get', KEY + domain), /ver=2\.0; a=bf/)
    }
  })
})
