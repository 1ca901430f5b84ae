// A day of TLSRPT: what counting costs a delivery, what it weighs, and how long all reports of the day take.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createCollector } from '../lib/tlsrpt/collector.ts'
import { DAY_MS, endOf } from '../lib/tlsrpt/day.ts'
import { createFileStore } from '../lib/tlsrpt/file-store.ts'
import { createRound } from '../lib/tlsrpt/round.ts'
import { createSender } from '../lib/tlsrpt/send.ts'
import type { Session, SessionResult } from '../lib/tlsrpt/session.ts'
import type { Row } from './report.ts'

const DELIVERIES = 1_000_000
const DOMAINS = 100_000
const DAY = '2026-11-21'
const AT_MS = Date.UTC(2026, 10, 21, 12)
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

export async function benchTlsrpt(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-bench-'))
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const inUse = (): number => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const log = (level: string, line: string): void => {
    if (level === 'error') throw new Error(line)
  }
  const store = createFileStore({ directory: folder, log })
  collect()
  const empty = inUse()
  let most = empty
  let watching = setInterval(() => (most = Math.max(most, inUse())), 50)
  try {
    const counted = await countAll(store, log)
    const mostCounting = most - empty
    most = 0
    clearInterval(watching)
    watching = setInterval(() => {
      collect()
      most = Math.max(most, inUse())
    }, WATCH_MS)
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    const made = await reportAll(store, log)
    delay.disable()
    return [
      {
        name: `${DELIVERIES} deliveries to ${DOMAINS} domains counted: time of the processor for each, the disk included`,
        value: counted.microseconds,
        unit: 'µs',
        target: { most: 20 },
      },
      {
        name: 'of that, most memory in use, what is garbage included',
        value: mostCounting / 2 ** 20,
        unit: 'MB',
        target: { most: 200 },
      },
      {
        name: `the reports of that day, ${made.sent} of them, all wanted: time until each is made and marked as sent`,
        value: made.seconds,
        unit: 's',
        target: { most: 300 },
      },
      {
        name: 'of that, most memory in use, what is garbage not included',
        value: (most - empty) / 2 ** 20,
        unit: 'MB',
        target: { most: 200 },
      },
      { name: 'of that, event loop delay, p99', value: delay.percentile(99) / 1e6, unit: 'ms' },
    ]
  } finally {
    clearInterval(watching)
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

type Store = ReturnType<typeof createFileStore>
type Log = (level: string, line: string) => void

async function countAll(store: Store, log: Log): Promise<{ microseconds: number }> {
  const collector = createCollector({ store, leave: () => 'kept', log })
  const sessions = Array.from({ length: 1000 }, (_, at) => sessionOf(at * 1009))
  let preparing = 0
  const before = process.cpuUsage()
  for (let at = 0; at < DELIVERIES; at += sessions.length) {
    const began = performance.now()
    for (let one = 0; one < sessions.length; one += 1) sessions[one] = sessionOf(at + one)
    preparing += performance.now() - began
    for (const session of sessions) collector.count(session)
    await collector.flush()
  }
  await collector.close()
  const { user, system } = process.cpuUsage(before)
  return { microseconds: (user + system - preparing * 1000) / DELIVERIES }
}

async function reportAll(store: Store, log: Log): Promise<{ sent: number; seconds: number }> {
  let sent = 0
  const clock = { nowMs: () => endOf(DAY) + 3_600_000 }
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
