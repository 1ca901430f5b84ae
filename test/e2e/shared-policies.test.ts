// Two Harakas that share what they know of policies in Redis, and what is left of it when Redis dies in the midst of delivery.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { startHaraka, type Haraka } from '../support/haraka.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import { redisMissing, startRedis, type RedisServer } from '../support/redis-server.ts'
import { RETRY_FILES, RETRY_PLUGIN, retryUntil } from '../support/retry.ts'
import { PASSWORD, USER } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'

const HOST = 'mx.b.example'
const OF_THE_MAIL = /MAIL|RCPT|DATA|secret/

/** The same configuration, with a queue and a store of its own. */
async function startTwin(first: Haraka): Promise<Haraka> {
  const directory = mkdtempSync(join(tmpdir(), 'hisho-haraka-'))
  cpSync(first.directory, directory, { recursive: true, verbatimSymlinks: true })
  for (const own of ['queue', 'config/hisho.store'])
    rmSync(join(directory, own), { recursive: true, force: true })
  mkdirSync(join(directory, 'queue'))
  return startHaraka({ files: {}, directory })
}

describe('two Harakas with one Redis', { skip: redisMissing }, () => {
  let redis: RedisServer
  let world: OutboundWorld
  let twin: Haraka

  before(async () => {
    redis = await startRedis()
    world = await startOutbound({
      hosts: [HOST],
      zone: Object.fromEntries(
        ['shared', 'dropped', 'plain'].map((name) => [`${name}.example`, { MX: [`10 ${HOST}`] }]),
      ),
      publish: (policies) => {
        policies.publish('shared.example', { mode: 'enforce', mx: [HOST] })
        policies.publish('dropped.example', { mode: 'enforce', mx: [HOST] })
      },
      plugins: ['auth/flat_file', RETRY_PLUGIN, 'hisho/mta_sts'],
      files: ({ dnsPort, port }) => ({
        ...RETRY_FILES,
        'config/hisho.ini': `[main]\nworkers=1\n[dns]\nservers=127.0.0.1:${dnsPort}\ntimeout_ms=500\ntries=3\n[delivery]\nport=${port}\nca_file=ca.pem\n[redis]\nurl=redis://127.0.0.1:${redis.port}/0\n`,
      }),
    })
    twin = await startTwin(world.haraka)
  })
  after(async () => {
    await twin?.stop()
    await world?.close()
    await redis?.close()
  })
  beforeEach(() => {
    world.reset()
    twin.forgetLog()
  })

  const sendByTwin = async (to: string): Promise<void> => {
    const { code } = await submit({
      port: twin.port,
      from: 'alice@a.example',
      to: [to],
      message: Buffer.from('Subject: twin\r\n\r\nthe secret of the twin\r\n'),
      user: USER,
      password: PASSWORD,
    })
    assert.equal(code, 250)
  }
  const timesAsked = (domain: string): number =>
    world.policies.asked.filter((asked) => asked === domain).length
  const stripped = (): void => {
    world.mta(HOST).conduct = { ...world.mta(HOST).conduct, startTls: 'missing' }
  }
  const offered = (): void => {
    world.mta(HOST).conduct = { ...world.mta(HOST).conduct, startTls: 'offered' }
  }
  /** One more delivery, over TLS. */
  const delivered = async (haraka: Haraka): Promise<void> => {
    const { deliveries } = world.mta(HOST)
    const before = deliveries.length
    await retryUntil(haraka, () => deliveries.length > before)
    assert.match(deliveries.at(-1)?.session.version ?? '', /^TLS/)
  }
  const nothingInClear = (): void => {
    assert.doesNotMatch(world.mta(HOST).clear(), OF_THE_MAIL)
    assert.doesNotMatch(world.haraka.log() + twin.log(), /bounc/i)
  }

  it('the second one applies what the first one has learnt, and does not ask for it', async () => {
    for (const domain of ['shared.example', 'dropped.example']) await world.send(`bob@${domain}`)
    await world.mta(HOST).waitFor(2)
    assert.equal(timesAsked('shared.example'), 1)
    world.dns.zone['_mta-sts.dropped.example'] = { TXT: [], ttl: 0, soa: 'none' }
    stripped()
    for (const domain of ['shared.example', 'dropped.example']) {
      await sendByTwin(`bob@${domain}`)
      await twin.waitForLog(new RegExp(`Temp failing .*${domain}: .*does not offer STARTTLS`))
    }
    nothingInClear()
    assert.equal(timesAsked('shared.example'), 1)
    assert.equal(timesAsked('dropped.example'), 1)
    offered()
    const { deliveries } = world.mta(HOST)
    await retryUntil(twin, () => deliveries.length === 4)
    nothingInClear()
  })

  it('Redis dies while mail is delivered: what is in memory holds', async () => {
    const count = 30
    const { deliveries } = world.mta(HOST)
    const sent = Array.from({ length: count }, (_, at) =>
      at % 2 === 0 ? world.send('bob@shared.example') : sendByTwin('bob@shared.example'),
    )
    await world.mta(HOST).waitFor(3)
    await redis.kill()
    await Promise.all(sent)
    await world.mta(HOST).waitFor(count)
    assert.ok(deliveries.every(({ session }) => session.version === 'TLSv1.3'))
    stripped()
    await world.send('bob@dropped.example')
    await world.haraka.waitForLog(/Temp failing .*dropped\.example: .*does not offer STARTTLS/)
    nothingInClear()
    offered()
    await delivered(world.haraka)
  })

  it('without Redis and with nothing in memory mail waits where DNS alone would let it go in clear', async () => {
    stripped()
    await twin.kill()
    twin = await startHaraka({ files: {}, directory: twin.directory, port: twin.port })
    for (const domain of ['dropped.example', 'plain.example']) {
      await sendByTwin(`bob@${domain}`)
      await twin.waitForLog(new RegExp(`Temp failing .*${domain}: .*\n`))
    }
    assert.equal(world.mta(HOST).sessions.length, 0)
    nothingInClear()
    // What DNS says can be fetched: the policy holds without being kept.
    await sendByTwin('bob@shared.example')
    await twin.waitForLog(/Temp failing .*shared\.example: .*does not offer STARTTLS/)
    nothingInClear()
  })

  it('goes on when Redis is back', async () => {
    await redis.start()
    const { deliveries } = world.mta(HOST)
    await retryUntil(twin, () => deliveries.length === 3)
    assert.ok(deliveries.every(({ session }) => session.version === 'TLSv1.3'))
    await twin.waitForLog(/the store of policies is back/)
    nothingInClear()
  })
})
