// Haraka with two workers: what each of them counts is one report for each domain, though workers are killed, or told to end,
// and /metrics is of all that live. RFC 8460.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { dayOf, endOf } from '../../lib/tlsrpt/day.ts'
import { clockEnvironment } from '../support/clock-environment.ts'
import { freePort } from '../support/haraka.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import { kept, keptBy, REPORT_INI, reported, until } from '../support/tlsrpt-counts.ts'

const [B, C, R] = ['mx.b.example', 'mx.c.example', 'mx.r.example']
const RECORD = 'v=TLSRPTv1; rua=mailto:r@r.example'

describe('two workers', () => {
  const environment: Record<string, string> = clockEnvironment(0)
  let world: OutboundWorld
  let http: number
  before(async () => {
    http = await freePort()
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
      publish: (policies) => policies.publish('b.example', { mode: 'enforce', mx: [B] }),
      plugins: ['auth/flat_file', 'hisho/mta_sts', 'hisho/tlsrpt', 'hisho/metrics'],
      files: () => ({
        'config/smtp.ini': 'nodes=2\n',
        'config/http.ini': `listen=127.0.0.1:${http}\n`,
        'config/outbound.ini': 'temp_fail_intervals=5s\nlocal_mx_ok=true\n',
        'config/hisho.tlsrpt.ini': `[main]\nflush_ms=10\n${REPORT_INI}`,
      }),
    })
    world.mta(C).conduct = { startTls: 'missing' }
  })
  after(() => world?.close())

  const served = (): { readonly b: number; readonly c: number } => ({
    b: world.mta(B).deliveries.length,
    c: world.mta(C).deliveries.length,
  })
  const sums = (): readonly string[] => [
    `b.example +${served().b} -0`,
    `c.example +0 -${served().c}`,
  ]
  /** Connections go to the workers in turn: each gets mail to both. */
  const send = async (times: number): Promise<void> => {
    for (let at = 0; at < times; at += 1)
      for (const to of ['b', 'b', 'c', 'c']) await world.send(`bob@${to}.example`)
  }
  /** As many sessions of either kind as the servers have seen, and not one more. */
  const allKept = async (): Promise<void> => {
    const wanted = sums()
    const isWhole = async (): Promise<boolean> =>
      String(await kept(world.haraka.directory)) === String(wanted)
    await until(isWhole, 'all are kept').catch(() => {})
    assert.deepEqual(await kept(world.haraka.directory), wanted)
  }
  const workers = (): readonly number[] =>
    [...world.haraka.log().matchAll(/worker started.*?pid=(\d+)/g)].map(([, pid]) => Number(pid))
  const metric = async (labels: string): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${http}/metrics`, {
      headers: { Connection: 'close' },
    })
    const line = (await answer.text()).split('\n').find((one) => one.includes(labels)) ?? ''
    return Number(line.split(' ').at(-1))
  }
  const ended = async (signal: NodeJS.Signals): Promise<void> => {
    const gone = once(world.haraka.process, 'exit')
    world.haraka.process.kill(signal)
    assert.deepEqual(await gone, [null, signal])
  }
  const [GOOD, BAD, DECIDED, UNREACHED, POLICIES, AGE] = [
    'hisho_tls_sessions_total{policy="sts",result="success"}',
    'hisho_tls_sessions_total{policy="no-policy-found",result="starttls-not-supported"}',
    'hisho_delivery_attempts_total{requirement="webpki",decision="deliver"}',
    'hisho_delivery_attempts_total{requirement="webpki",decision="unreached"}',
    'hisho_mta_sts_policies{mode="enforce"}',
    'hisho_mta_sts_policy_age_seconds{statistic="oldest"}',
  ]

  it('count the sessions of both, good and failed, each once, and the metrics are of both', async () => {
    await send(2)
    await world.mta(B).waitFor(4)
    await world.mta(C).waitFor(4)
    // Several recipients, one connection, one session.
    const to = ['bob@b.example', 'carol@b.example', 'dave@b.example']
    await world.send('bob@b.example', 'to three', { to })
    const [, , , , toThree] = await world.mta(B).waitFor(5)
    assert.deepEqual(toThree?.to, to)
    await allKept()
    const byWorker = [...(await keptBy(world.haraka.directory)).values()]
    assert.equal(byWorker.length, 2)
    assert.ok(
      byWorker.every((sums) => sums.size === 2),
      'each has counted of both domains',
    )
    assert.deepEqual([await metric(GOOD), await metric(BAD)], [5, 4])
    assert.deepEqual([await metric(DECIDED), await metric(POLICIES)], [5, 1])
    const age = await metric(AGE)
    assert.ok(age > 0 && age < 600, `${age}`)
  })

  it('R19: lose nothing that is kept, and count nothing twice, nor what was no failure of TLS, when one is killed with mail in hand', async () => {
    const usual = world.mta(B).conduct
    world.mta(B).conduct = { greeting: '421 not now' }
    for (let at = 0; at < 4; at += 1) await world.send('bob@b.example')
    await world.haraka.waitForLog(/(?:Temp failing[^]*){4}/)
    assert.equal(await metric(UNREACHED), 4)
    const [victim = 0] = workers()
    process.kill(victim, 'SIGKILL')
    await world.haraka.waitForLog(/killed by signal SIGKILL/)
    world.mta(B).conduct = usual
    await world.mta(B).waitFor(9)
    await world.haraka.waitForLog(/(?:worker started[^]*){3}/)
    await send(1)
    await world.mta(B).waitFor(11)
    await world.mta(C).waitFor(6)
    await allKept()
    const byWorker = await keptBy(world.haraka.directory)
    assert.equal(byWorker.size, 3)
    const living = [...byWorker].filter(([pid]) => pid !== victim).map(([, sums]) => sums)
    const good = living.map((sums) => Number.parseInt(sums.get('b.example') ?? '0', 10))
    assert.equal(await metric(GOOD), (good[0] ?? 0) + (good[1] ?? 0))
  })

  it('keep what they have in memory when they, or Haraka, are told to end', async () => {
    await ended('SIGTERM')
    const ini = join(world.haraka.directory, 'config', 'hisho.tlsrpt.ini')
    writeFileSync(ini, `[main]\nflush_ms=3600000\n${REPORT_INI}`)
    await world.restart()
    const before = sums()
    const { b, c } = served()
    await send(2)
    await world.mta(B).waitFor(b + 4)
    await world.mta(C).waitFor(c + 4)
    assert.deepEqual(await kept(world.haraka.directory), before)
    const [told = 0] = workers()
    process.kill(told, 'SIGTERM')
    await world.haraka.waitForLog(/killed by signal SIGTERM/)
    assert.equal((await keptBy(world.haraka.directory)).has(told), true)
    await ended('SIGTERM') // the other one ends with its primary process
    await allKept()
  })

  it('R13: make one report for each domain, with the sum of all there ever were', async () => {
    environment['CLOCK_OFFSET_MS'] = String(endOf(dayOf(Date.now())) + 3_600_000 - Date.now())
    await world.restart()
    await world.haraka.waitForLog(/reports of \S+: 2 sent, 0 to be tried again, 0 lost/, 30_000)
    await world.mta(R).waitFor(2)
    assert.deepEqual(await reported(world.mta(R)), sums())
    assert.equal(world.haraka.log().match(/reports of \S+: \d+ sent/g)?.length, 1)
  })
})
