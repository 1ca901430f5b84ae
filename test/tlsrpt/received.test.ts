import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createFileCache } from '../../lib/cache/file.ts'
import { HishoError } from '../../lib/errors.ts'
import { createAlerts, type Alert } from '../../lib/tlsrpt/alerts.ts'
import { explain } from '../../lib/tlsrpt/explain.ts'
import { parseReportText, REPORT_LIMITS } from '../../lib/tlsrpt/parse-report.ts'
import { condensed } from '../../lib/tlsrpt/received/condense.ts'
import { createKeptReports, type Origin } from '../../lib/tlsrpt/received/kept.ts'
import { createReceiver } from '../../lib/tlsrpt/received/receive.ts'
import { formatReport, RESULT_TYPES, type Report } from '../../lib/tlsrpt/report.ts'

const NOON = Date.UTC(2026, 10, 21, 12)

const REPORT: Report = {
  organizationName: 'A Example',
  contactInfo: 'tlsrpt@a.example',
  reportId: 'one',
  beginsAtMs: Date.UTC(2026, 10, 20),
  endsAtMs: Date.UTC(2026, 10, 21) - 1000,
  policies: [
    {
      policy: {
        policyType: 'sts',
        policyDomain: 'b.example',
        policyStrings: ['version: STSv1', 'mode: enforce'],
        mxHosts: ['mx.b.example'],
      },
      successfulSessions: 7,
      failedSessions: 3,
      failures: [
        {
          resultType: 'starttls-not-supported',
          failedSessions: 2,
          receivingMxHostname: 'mx.b.example',
        },
        { resultType: 'certificate-expired', failedSessions: 1, failureReasonCode: 'expired' },
      ],
    },
  ],
}

const MAIL: Origin = { via: 'mail', from: 'tlsrpt@a.example', dkim: ['a.example'] }

interface World {
  nowMs: number
  readonly lines: string[]
  readonly sent: Alert[]
  receive(report?: Partial<Report>, origin?: Partial<Origin>): Promise<string>
  readonly kept: ReturnType<typeof createKeptReports>
  settled(): Promise<void>
}

async function withWorld(
  test: (world: World) => Promise<void>,
  more: { maxReports?: number; maxPerSender?: number; proof?: 'dkim' } = {},
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'hisho-received-'))
  const lines: string[] = []
  const sent: Alert[] = []
  const clock = { nowMs: () => world.nowMs, nowSeconds: () => Math.floor(world.nowMs / 1000) }
  const store = createFileCache({ directory, clock })
  const kept = createKeptReports({
    store,
    clock,
    keepDays: 30,
    maxReports: more.maxReports ?? 100,
    maxPerSender: more.maxPerSender ?? 100,
  })
  const log = (level: string, line: string): void => void lines.push(`${level}: ${line}`)
  const alerts = createAlerts({ store, clock, log, send: async (alert) => void sent.push(alert) })
  const receiver = createReceiver({
    kept,
    alerts,
    limits: REPORT_LIMITS,
    isOurs: (domain) => domain === 'b.example',
    log,
    proof: more.proof ?? 'none',
  })
  const world: World = {
    nowMs: NOON,
    lines,
    sent,
    kept,
    settled: () => alerts.settled(),
    receive: async (report = {}, origin = {}) => {
      const bytes = gzipSync(formatReport({ ...REPORT, ...report }))
      try {
        return (await receiver.receive(bytes, { ...MAIL, ...origin })).status
      } catch (error) {
        assert.ok(error instanceof HishoError)
        return error.code
      }
    },
  }
  try {
    await test(world)
  } finally {
    await alerts.settled()
    rmSync(directory, { recursive: true })
  }
}

describe('a report that arrives', () => {
  it('is kept as it was, with whence it came', () =>
    withWorld(async ({ receive, kept }) => {
      assert.equal(await receive(), 'kept')
      const [one, ...others] = await kept.list()
      assert.deepEqual(others, [])
      assert.deepEqual(one, {
        receivedAtMs: NOON,
        origin: MAIL,
        report: { ...REPORT, deviations: [] },
      })
    }))

  it('R33: is kept once, by its organisation and its id', () =>
    withWorld(async ({ receive, kept }) => {
      assert.equal(await receive(), 'kept')
      assert.equal(await receive({}, { via: 'https', dkim: [] }), 'duplicate')
      assert.equal(
        await receive({ organizationName: 'a example', policies: REPORT.policies }),
        'duplicate',
      )
      assert.equal(await receive({ reportId: 'two' }), 'kept')
      assert.equal(await receive({ organizationName: 'C Example' }), 'kept')
      assert.equal((await kept.list()).length, 3)
    }))

  it('without an id is known by what is in it', () =>
    withWorld(async ({ receive }) => {
      assert.equal(await receive({ reportId: '' }), 'kept')
      assert.equal(await receive({ reportId: '' }), 'duplicate')
      assert.equal(await receive({ reportId: '', contactInfo: 'x@a.example' }), 'kept')
    }))

  it('is forgotten after its days', () =>
    withWorld(async (world) => {
      await world.receive()
      world.nowMs += 30 * 86_400_000 + 1
      assert.deepEqual(await world.kept.list(), [])
    }))

  it('R33: one of a flood is refused for a time, of a sender and of all', async () => {
    await withWorld(
      async ({ receive, kept, lines }) => {
        for (const id of ['1', '2', '3']) assert.equal(await receive({ reportId: id }), 'kept')
        assert.equal(await receive({ reportId: '4' }), 'full')
        assert.equal(await receive({ reportId: '3' }), 'duplicate')
        assert.equal((await kept.list()).length, 3)
        assert.match(
          lines.join('\n'),
          /warn: a report of A Example is not kept: there are too many/,
        )
      },
      { maxReports: 3 },
    )
    await withWorld(
      async (world) => {
        assert.equal(await world.receive({ reportId: '1' }), 'kept')
        assert.equal(await world.receive({ reportId: '2' }), 'full')
        assert.equal(
          await world.receive({ organizationName: 'C' }, { dkim: ['c.example'] }),
          'kept',
        )
        world.nowMs += 86_400_000
        assert.equal(await world.receive({ reportId: '2' }), 'kept')
      },
      { maxPerSender: 1 },
    )
  })

  it('R8: without a signature of its organisation is refused where one is asked for', () =>
    withWorld(
      async ({ receive }) => {
        assert.equal(await receive({}, { dkim: [] }), 'protection/refused')
        assert.equal(await receive({}, { dkim: ['c.example', 'example'] }), 'kept')
        assert.equal(
          await receive({ reportId: '2' }, { dkim: ['ba.example'] }),
          'protection/refused',
        )
        assert.equal(await receive({ reportId: '2' }, { dkim: ['mail.a.example'] }), 'kept')
      },
      { proof: 'dkim' },
    ))

  it('has its details put together where it is long, and loses no session by it', () => {
    const failures = Array.from({ length: 5000 }, (_, at) => ({
      resultType: at % 2 === 0 ? 'certificate-expired' : 'tlsa-invalid',
      failedSessions: 2,
      sendingMtaIp: `192.0.2.${at % 256}`,
      receivingIp: `198.51.100.${at % 200}`,
      receivingMxHostname: 'mx.b.example',
      failureReasonCode: `reason ${at % 3}`,
    }))
    const [policy] = REPORT.policies
    assert.ok(policy)
    const long = { ...REPORT, policies: [{ ...policy, failures }], deviations: [] }
    const text = condensed(long, 32 * 1024) ?? ''
    assert.ok(text.length <= 32 * 1024)
    const [short] = parseReportText(text).policies
    assert.equal(
      short?.failures.reduce((sum, { failedSessions }) => sum + failedSessions, 0),
      10_000,
    )
    assert.deepEqual(
      new Set(short?.failures.map(({ resultType }) => resultType)),
      new Set(['certificate-expired', 'tlsa-invalid']),
    )
    assert.equal(condensed(long, 100), undefined)
  })
})

describe('an alert', () => {
  it('names the domain, the reporter, the likely cause and the next step', () =>
    withWorld(async ({ receive, lines, sent, settled }) => {
      await receive()
      await settled()
      const [alert, ...others] = sent
      assert.ok(alert && others.length === 0)
      assert.equal(alert.subject, 'TLS to b.example fails at A Example')
      assert.match(
        alert.text,
        /Failed: 3 of 10 sessions\nReason: expired\n\nstarttls-not-supported \(2\)\n {2}Likely cause: .*STARTTLS.*\n {2}Next step: .*hisho tls check/,
      )
      assert.match(
        lines.join('\n'),
        /warn: TLS to b\.example fails at A Example: 3 of 10 sessions, starttls-not-supported \(2\), certificate-expired \(1\)/,
      )
    }))

  it('is given once for a domain and day, whoever reports', () =>
    withWorld(async (world) => {
      for (const id of ['1', '2']) await world.receive({ reportId: id })
      await world.receive({ organizationName: 'C' })
      await world.settled()
      assert.equal(world.sent.length, 1)
      world.nowMs += 86_400_000
      await world.receive({ reportId: '3' })
      await world.settled()
      assert.equal(world.sent.length, 2)
    }))

  it('is not given for a domain that is not ours, nor where all went well', () =>
    withWorld(async ({ receive, sent, settled }) => {
      const [policy] = REPORT.policies
      assert.ok(policy)
      const foreign = { ...policy, policy: { ...policy.policy, policyDomain: 'c.example' } }
      await receive({ policies: [foreign, { ...policy, failedSessions: 0, failures: [] }] })
      await settled()
      assert.deepEqual(sent, [])
    }))

  it('that cannot be sent is in the log, and harms nothing', async () => {
    const lines: string[] = []
    const clock = { nowMs: () => NOON, nowSeconds: () => NOON / 1000 }
    const directory = mkdtempSync(join(tmpdir(), 'hisho-alerts-'))
    const alerts = createAlerts({
      store: createFileCache({ directory, clock }),
      clock,
      log: (_, line) => void lines.push(line),
      send: () => Promise.reject(new Error('no route')),
    })
    alerts.raise({ direction: 'ours', domain: 'c.example', failures: new Map([['odd', 1]]) })
    await alerts.settled()
    assert.match(lines.join('\n'), /TLS from here to c\.example fails: odd\./)
    assert.match(lines.join('\n'), /could not be sent: no route/)
    rmSync(directory, { recursive: true })
  })
})

describe('the words for a result', () => {
  it('are there for each type of the registry, and for what is in none', () => {
    const texts = [...RESULT_TYPES, 'odd-one', 'unspecified'].flatMap((type) => {
      const theirs = explain(type, 'theirs')
      const ours = explain(type, 'ours')
      assert.equal(theirs.cause, ours.cause)
      assert.notEqual(theirs.nextStep, ours.nextStep)
      return [theirs.cause, theirs.nextStep]
    })
    assert.equal(new Set(texts).size, texts.length)
  })
})
