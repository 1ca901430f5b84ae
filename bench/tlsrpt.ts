// A day of TLSRPT: what counting costs a delivery, what it weighs, and how long all reports of the day take; on the disk, and
// of two processes with Redis.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createRedisScripts } from '../lib/cache/redis-scripts.ts'
import { createCollector } from '../lib/tlsrpt/collector.ts'
import { DAY_MS, endOf } from '../lib/tlsrpt/day.ts'
import type { DayStore } from '../lib/tlsrpt/day-store.ts'
import { createFileStore } from '../lib/tlsrpt/file-store.ts'
import { createRedisStore } from '../lib/tlsrpt/redis-store.ts'
import { createRound } from '../lib/tlsrpt/round.ts'
import { createSender } from '../lib/tlsrpt/send.ts'
import type { Session, SessionResult } from '../lib/tlsrpt/session.ts'
import { startRedis } from '../test/support/redis-server.ts'
import type { Row } from './report.ts'

const DELIVERIES = 1_000_000
const REDIS_DELIVERIES = 300_000
const DOMAINS = 100_000
const DAY = '2026-11-21'
const AT_MS = Date.UTC(2026, 10, 21, 12)
const clock = { nowMs: () => endOf(DAY) + 3_600_000 }
const AWAY_MS = 5
const WATCH_MS = 10_000

const POLICY_LINES = ['version: STSv1', 'mode: enforce', 'mx: *.example', 'max_age: 604800']

/** Every tenth has a policy, every tenth TLSA records; one session of a hundred fails. */
function sessionOf(at: number): Session {
  const number = (at * 7919) % DOMAINS
  const domain = `d${number}.example`
  const host = `mx${number % 1000}.host.example`
  const isBad = at % 100 === 99
  const result: SessionResult = {
    policyType: number % 10 === 0 ? 'sts' : number % 10 === 1 ? 'tlsa' : 'no-policy-found',
    policyDomain: number % 10 === 1 ? host : domain,
    policyStrings:
      number % 10 === 0 ? POLICY_LINES : number % 10 === 1 ? [`3 1 1 ${'AB'.repeat(32)}`] : [],
    mxHostPatterns: number % 10 === 0 ? ['*.example'] : [],
    resultType: isBad ? 'certificate-expired' : 'success',
    ...(isBad && { reason: 'its certificate is out of date (CERT_HAS_EXPIRED)' }),
  }
  return {
    atMs: AT_MS,
    domain,
    results: [result],
    sendingIp: '192.0.2.1',
    host,
    helo: host,
    receivingIp: '198.51.100.7',
  }
}

type Log = (level: string, line: string) => void

const log: Log = (level, line) => {
  if (level === 'error') throw new Error(line)
}

interface Day {
  /** Of the processor, for each delivery. */
  readonly microseconds: number
  readonly countingSeconds: number
  /** What is garbage included. */
  readonly countingMb: number
  readonly reports: number
  readonly reportingSeconds: number
  /** What is garbage not included. */
  readonly reportingMb: number
  readonly delayMs: number
}

export async function benchTlsrpt(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-bench-'))
  const files = createFileStore({ directory: folder, log })
  try {
    return [...fileRows(await measure([files], DELIVERIES)), ...(await benchRedis())]
  } finally {
    await files.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function benchRedis(): Promise<Row[]> {
  const server = await startRedis({ args: ['--appendonly', 'yes'] })
  const stores = [1, 2].map(() =>
    createRedisStore({
      redis: createRedisScripts({
        target: { kind: 'single', url: `redis://127.0.0.1:${server.port}` },
        timeoutMs: 5000,
      }),
      clock,
      keepDays: 7,
      log,
    }),
  )
  try {
    const day = await measure(stores, REDIS_DELIVERIES)
    const used = await server.cli('info', 'memory')
    const bytes = Number(/^used_memory_peak:(\d+)/m.exec(used)?.[1])
    return redisRows(day, bytes / 2 ** 20)
  } finally {
    await Promise.all(stores.map((store) => store.close()))
    await server.close()
  }
}

function fileRows(day: Day): Row[] {
  return [
    {
      name: `${DELIVERIES} deliveries to ${DOMAINS} domains counted: time of the processor for each, the disk included`,
      value: day.microseconds,
      unit: 'µs',
      target: { most: 20 },
    },
    {
      name: 'of that, most memory in use, what is garbage included',
      value: day.countingMb,
      unit: 'MB',
      target: { most: 200 },
    },
    {
      name: `the reports of that day, ${day.reports} of them, all wanted: time until each is made and marked as sent`,
      value: day.reportingSeconds,
      unit: 's',
      target: { most: 300 },
    },
    {
      name: 'of that, most memory in use, what is garbage not included',
      value: day.reportingMb,
      unit: 'MB',
      target: { most: 200 },
    },
    { name: 'of that, event loop delay, p99', value: day.delayMs, unit: 'ms' },
  ]
}

function redisRows(day: Day, redisMb: number): Row[] {
  return [
    {
      name: `${REDIS_DELIVERIES} deliveries to ${DOMAINS} domains, counted by two into one Redis: time of the processor for each, that of Redis not included`,
      value: day.microseconds,
      unit: 'µs',
      target: { most: 20 },
    },
    { name: 'of that, all in all', value: day.countingSeconds, unit: 's', target: { most: 300 } },
    {
      name: 'of that, most memory in use, of both, what is garbage included',
      value: day.countingMb,
      unit: 'MB',
      target: { most: 200 },
    },
    { name: 'of that, most memory of Redis', value: redisMb, unit: 'MB' },
    {
      name: `the reports of that day from Redis, ${day.reports} of them: time until each is made and marked as sent`,
      value: day.reportingSeconds,
      unit: 's',
      target: { most: 300 },
    },
    {
      name: 'of that, most memory in use, what is garbage not included',
      value: day.reportingMb,
      unit: 'MB',
      target: { most: 200 },
    },
  ]
}

/** A store for each process that counts; the first one reports. */
async function measure(stores: readonly DayStore[], deliveries: number): Promise<Day> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const inUse = (): number => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const [store] = stores
  if (!store) throw new Error('no store')
  collect()
  const empty = inUse()
  let most = empty
  let watching = setInterval(() => (most = Math.max(most, inUse())), 50)
  try {
    const began = performance.now()
    const { microseconds } = await countAll(stores, deliveries)
    const countingSeconds = (performance.now() - began) / 1000
    const countingMb = (most - empty) / 2 ** 20
    most = empty
    clearInterval(watching)
    watching = setInterval(() => {
      collect()
      most = Math.max(most, inUse())
    }, WATCH_MS)
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    const { sent: reports, seconds: reportingSeconds } = await reportAll(store)
    delay.disable()
    const reportingMb = (most - empty) / 2 ** 20
    const delayMs = delay.percentile(99) / 1e6
    return {
      microseconds,
      countingSeconds,
      countingMb,
      reports,
      reportingSeconds,
      reportingMb,
      delayMs,
    }
  } finally {
    clearInterval(watching)
  }
}

async function countAll(
  stores: readonly DayStore[],
  deliveries: number,
): Promise<{ microseconds: number }> {
  const collectors = stores.map((store) => createCollector({ store, leave: () => 'kept', log }))
  const sessions = Array.from({ length: 1000 }, (_, at) => sessionOf(at * 1009))
  let preparing = 0
  const before = process.cpuUsage()
  for (let at = 0; at < deliveries; at += sessions.length) {
    const began = performance.now()
    for (let one = 0; one < sessions.length; one += 1) sessions[one] = sessionOf(at + one)
    preparing += performance.now() - began
    for (const [one, session] of sessions.entries())
      collectors[one % collectors.length]?.count(session)
    await Promise.all(collectors.map((collector) => collector.flush()))
  }
  await Promise.all(collectors.map((collector) => collector.close()))
  const { user, system } = process.cpuUsage(before)
  return { microseconds: (user + system - preparing * 1000) / deliveries }
}

async function reportAll(store: DayStore): Promise<{ sent: number; seconds: number }> {
  let sent = 0
  const submitter = {
    organization: 'A Example',
    contact: 'tls@a.example',
    from: 'tls@a.example',
    id: 'bench',
  }
  const round = createRound({
    store,
    clock,
    log,
    submitter,
    lookUp: async (name) => {
      await new Promise((resolve) => void setTimeout(resolve, AWAY_MS)) // of DNS
      return { status: 'found', destinations: [{ kind: 'mail', address: `tls@${name}` }] }
    },
    send: createSender({
      queueMail: async () => void (sent += 1),
      postBytes: async () => ({ status: 'accepted' }),
      submitter,
      nowMs: () => clock.nowMs(),
    }),
    rules: {
      mode: 'send',
      onlyFailures: false,
      redirectTo: undefined,
      suppressed: new Set(),
      maxBytes: 10 ** 7,
    },
  })
  const start = performance.now()
  const result = await round(DAY, endOf(DAY) + DAY_MS, () => true)
  if (result.sent !== sent || sent < DOMAINS)
    throw new Error(`not all: ${JSON.stringify({ ...result, queued: sent })}`)
  return { sent, seconds: (performance.now() - start) / 1000 }
}
