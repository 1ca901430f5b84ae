// Two Harakas and one Redis: one report for each domain, with the sum of both, though Redis is restarted, one of them ends
// meanwhile, one is killed before midnight and comes back with its clock an hour behind. RFC 8460.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { dayAfter, dayOf, endOf, type Day } from '../../lib/tlsrpt/day.ts'
import { hisho } from '../cli/site.ts'
import { clockEnvironment } from '../support/clock-environment.ts'
import { startHaraka, type Haraka } from '../support/haraka.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import { redisMissing, startRedis, type RedisServer } from '../support/redis-server.ts'
import { PASSWORD, USER } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import { REPORT_INI, reported, until } from '../support/tlsrpt-counts.ts'

const [B, C, R] = ['mx.b.example', 'mx.c.example', 'mx.r.example']
const RECORD = 'v=TLSRPTv1; rua=mailto:r@r.example'
const HALF_AN_HOUR_MS = 1_800_000
const DAY = dayOf(Date.now())

describe('two Harakas and one Redis', { skip: redisMissing }, () => {
  const environment: Record<string, string> = clockEnvironment(0)
  let redis: RedisServer
  let world: OutboundWorld
  let twin: Haraka
  let twinDirectory: string

  const startTwin = async (offsetMs: number): Promise<Haraka> => {
    const files = { 'config/smtp.ini': 'nodes=0\n' }
    const clock = clockEnvironment(offsetMs)
    return startHaraka({ files, directory: twinDirectory, environment: clock })
  }
  before(async () => {
    redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] })
    world = await startOutbound({
      hosts: [B, C, R],
      environment,
      zone: {
        'b.example': { MX: [`10 ${B}`] },
        'c.example': { MX: [`10 ${C}`] },
        'r.example': { MX: [`10 ${R}`] },
        '_smtp._tls.b.example': { TXT: [RECORD] },
        '_smtp._tls.c.example': { TXT: [RECORD] },
      },
      plugins: ['auth/flat_file', 'hisho/tlsrpt'],
      files: ({ dnsPort, port }) => ({
        'config/smtp.ini': 'nodes=0\n',
        'config/hisho.ini': `[main]\nworkers=1\n[dns]\nservers=127.0.0.1:${dnsPort}\ntimeout_ms=500\ntries=3\n[delivery]\nport=${port}\nca_file=ca.pem\n[redis]\nurl=redis://127.0.0.1:${redis.port}/0\n`,
        'config/hisho.tlsrpt.ini': `[main]\nflush_ms=10\n${REPORT_INI}`,
      }),
    })
    world.mta(C).conduct = { startTls: 'missing' }
    twinDirectory = mkdtempSync(join(tmpdir(), 'hisho-haraka-'))
    cpSync(world.haraka.directory, twinDirectory, { recursive: true, verbatimSymlinks: true })
    rmSync(join(twinDirectory, 'queue'), { recursive: true })
    mkdirSync(join(twinDirectory, 'queue'))
    twin = await startTwin(0)
  })
  after(async () => {
    await twin?.stop()
    await world?.close()
    await redis?.close()
  })

  const send = async (haraka: Haraka, ...domains: readonly string[]): Promise<void> => {
    for (const domain of domains) {
      const mta = world.mta(`mx.${domain}.example`)
      const before = mta.deliveries.length
      const { code } = await submit({
        port: haraka.port,
        from: 'alice@a.example',
        to: [`bob@${domain}.example`],
        message: Buffer.from('Subject: one of two\r\n\r\nthe secret of both\r\n'),
        user: USER,
        password: PASSWORD,
      })
      assert.equal(code, 250)
      await mta.waitFor(before + 1)
    }
  }
  const counted = async (day: Day): Promise<readonly string[]> => {
    const { text } = await hisho(['--haraka', twinDirectory, 'tlsrpt', 'show', '--json'])
    if (text === '') return ['Redis is away']
    const counts = JSON.parse(text) as readonly {
      readonly day: Day
      readonly name: string
      readonly successfulSessions: number
      readonly failedSessions: number
    }[]
    return counts
      .filter((count) => count.day === day)
      .map((count) => `${count.name} +${count.successfulSessions} -${count.failedSessions}`)
      .toSorted()
  }
  /** In the end, and not one more. */
  const allCounted = async (day: Day, wanted: readonly string[]): Promise<void> => {
    const isThere = async (): Promise<boolean> => String(await counted(day)) === String(wanted)
    await until(isThere, wanted.join()).catch(() => {})
    assert.deepEqual(await counted(day), wanted)
  }
  const left = (): readonly string[] =>
    readdirSync(join(twinDirectory, 'config', 'hisho.store', 'tlsrpt-left'))

  it('count together', async () => {
    await send(world.haraka, 'b', 'b', 'c')
    await send(twin, 'b', 'c', 'c')
    await allCounted(DAY, ['b.example +3 -0', 'c.example +0 -3'])
  })

  it('lose nothing when Redis is restarted, also not what one has as it ends meanwhile', async () => {
    await redis.kill()
    await send(world.haraka, 'b', 'b')
    await send(twin, 'b', 'c')
    const gone = once(twin.process, 'exit')
    twin.process.kill('SIGTERM')
    assert.deepEqual(await gone, [null, 'SIGTERM'])
    assert.notEqual(left().length, 0)
    await redis.start()
    twin = await startTwin(0)
    await allCounted(DAY, ['b.example +6 -0', 'c.example +0 -4'])
    await until(() => left().length === 0, 'what was left is forgotten')
  })

  it('one is killed before midnight: the other one reports the sum of both, once for each domain', async () => {
    await world.haraka.kill()
    await twin.kill()
    twin = await startTwin(endOf(DAY) + HALF_AN_HOUR_MS - Date.now())
    await twin.waitForLog(/reports of \S+: 2 sent, 0 to be tried again, 0 lost/, 30_000)
    await world.mta(R).waitFor(2)
    assert.deepEqual(await reported(world.mta(R)), ['b.example +6 -0', 'c.example +0 -4'])
  })

  it('it comes back, its clock an hour behind: what it counts is in the report of the next day', async () => {
    environment['CLOCK_OFFSET_MS'] = String(endOf(DAY) - HALF_AN_HOUR_MS - Date.now())
    await world.restart()
    await send(world.haraka, 'b')
    await send(twin, 'b')
    await allCounted(dayAfter(DAY), ['b.example +2 -0'])
    assert.deepEqual(await counted(DAY), ['b.example +6 -0', 'c.example +0 -4'])
    await twin.kill()
    twin = await startTwin(endOf(dayAfter(DAY)) + HALF_AN_HOUR_MS - Date.now())
    await twin.waitForLog(/reports of \S+: 1 sent, 0 to be tried again, 0 lost/, 30_000)
    const mails = await world.mta(R).waitFor(3)
    assert.equal(mails.length, 3)
    world.mta(R).deliveries.splice(0, 2)
    assert.deepEqual(await reported(world.mta(R)), ['b.example +2 -0'])
    assert.equal(world.mta(B).deliveries.length, 8)
  })
})
