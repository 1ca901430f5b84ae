// The way to other servers: what a decision costs, what policies weigh, and Haraka's outbound STARTTLS with and without us.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createFileCache } from '../lib/cache/file.ts'
import type { SharedCache } from '../lib/cache/cache.ts'
import { createLease } from '../lib/cache/lease.ts'
import { createRedisCache } from '../lib/cache/redis.ts'
import { systemClock } from '../lib/clock.ts'
import { createHostFinder } from '../lib/dane/find.ts'
import { formatTlsa, tlsaFor } from '../lib/dane/tlsa.ts'
import type { Order } from '../lib/delivery/order.ts'
import { createPlanner, type Planner } from '../lib/delivery/plan.ts'
import { createCachingResolver } from '../lib/dns/caching.ts'
import { createResolver } from '../lib/dns/resolver.ts'
import { createPolicyFinder } from '../lib/mta-sts/finder.ts'
import { createRefresher } from '../lib/mta-sts/refresh.ts'
import { parsePolicy } from '../lib/mta-sts/policy.ts'
import { makeAuthority } from '../test/support/authority.ts'
import { startDnsServer, type DnsServer, type Zone } from '../test/support/dns-server.ts'
import { startHaraka, type Haraka } from '../test/support/haraka.ts'
import { redisMissing, startRedis } from '../test/support/redis-server.ts'
import { hishoIni, makeSite, siteEnvironment, siteFiles } from '../test/support/site.ts'
import { startMta, type SmtpMta } from '../test/support/smtp-mta.ts'
import { MAILS, message, pause, rate, ROUNDS, WARM_UPS } from './gateway.ts'
import { sideBySide, type Row } from './report.ts'

const DOMAINS = 1000
const DECISIONS = 20_000
const POLICIES = 10_000
const POLICY = 'version: STSv1\r\nmode: enforce\r\nmx: *.b.example\r\nmax_age: 604800\r\n'

export async function benchTransport(): Promise<Row[]> {
  return [...(await benchDecisions()), ...(await benchPolicies()), ...(await benchOutbound())]
}

const nameOf = (at: number): string => `d${at}.b.example`

function orderFor(domain: string): Order {
  return {
    domain,
    route: undefined,
    transport: 'policy',
    floor: 'none',
    contentIsEncrypted: false,
    requireTls: false,
    tlsRequiredNo: false,
  }
}

/** Domains with a policy each, and an MX host with a signed address and a TLSA record. */
function zoneOf(count: number): Zone {
  const zone: Zone = {}
  for (let at = 0; at < count; at += 1) {
    const domain = nameOf(at)
    zone[domain] = { MX: [`10 mx.${domain}`], authentic: true, ttl: 3600 }
    zone[`mx.${domain}`] = { A: ['192.0.2.1'], authentic: true, ttl: 3600 }
    zone[`_mta-sts.${domain}`] = { TXT: ['v=STSv1; id=1'], authentic: true, ttl: 3600 }
    zone[`_25._tcp.mx.${domain}`] = {
      TLSA: [`3 1 1 ${'ab'.repeat(32)}`],
      authentic: true,
      ttl: 3600,
    }
  }
  return zone
}

function plannerOver(dns: DnsServer, store: SharedCache): Planner {
  const resolver = createCachingResolver({
    resolver: createResolver({
      servers: [{ address: dns.address, port: dns.port, trusted: true }],
      timeoutMs: 2000,
      tries: 3,
    }),
    clock: systemClock,
    maxEntries: 100_000,
  })
  return createPlanner({
    resolver,
    hosts: createHostFinder({ resolver, isOn: async () => true }),
    policies: createPolicyFinder({
      resolver,
      fetchPolicy: async () => ({ status: 'found', text: POLICY, policy: parsePolicy(POLICY) }),
      store,
      clock: systemClock,
      log: () => {},
    }),
    port: 25,
  })
}

async function planAll(planner: Planner, count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) {
    const plan = await planner.plan(orderFor(nameOf(at % DOMAINS)))
    if (plan.status !== 'deliver' || plan.hosts[0]?.requirement.kind !== 'dane')
      throw new Error(`a decision went wrong: ${JSON.stringify(plan)}`)
  }
}

async function benchDecisions(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-bench-'))
  const dns = await startDnsServer(zoneOf(DOMAINS))
  try {
    const planner = plannerOver(
      dns,
      createFileCache({ directory: folder, clock: systemClock, onDamage: 'fail' }),
    )
    await planAll(planner, 2 * DOMAINS)
    const before = process.cpuUsage()
    await planAll(planner, DECISIONS)
    const { user, system } = process.cpuUsage(before)
    return [
      {
        name: 'a decision (MX, MTA-STS, DANE), all of it in memory: time of the processor',
        value: (user + system) / 1000 / DECISIONS,
        unit: 'ms',
        target: { most: 0.2 },
      },
      ...(redisMissing ? [] : [await benchRedis(dns)]),
    ]
  } finally {
    await dns.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What a process asks of Redis that has not seen a domain before, and another one has. */
async function benchRedis(dns: DnsServer): Promise<Row> {
  const redis = await startRedis()
  const open = () =>
    createRedisCache({
      target: { kind: 'single', url: `redis://127.0.0.1:${redis.port}` },
      keyPrefix: 'bench:',
      timeoutMs: 5000,
      clock: systemClock,
      onDamage: 'fail',
    })
  const stores = [open(), open()] as const
  try {
    await planAll(plannerOver(dns, stores[0]), DOMAINS)
    const commands = async (): Promise<number> => {
      const info = await redis.cli('info', 'commandstats')
      return [...info.matchAll(/cmdstat_(?:get|mget|pttl|eval|evalsha|fcall):calls=(\d+)/g)].reduce(
        (sum, [, calls]) => sum + Number(calls),
        0,
      )
    }
    const planner = plannerOver(dns, stores[1])
    const before = await commands()
    await planAll(planner, DOMAINS)
    return {
      name: 'a decision, the policy in Redis and not in memory: reads of Redis',
      value: ((await commands()) - before) / DOMAINS,
      unit: '',
      target: { most: 1 },
    }
  } finally {
    await Promise.all(stores.map((store) => store.close()))
    await redis.close()
  }
}

const ROUND_MS = 90_000
const FETCH_MS = 5
const DAY_MS = 86_400_000

/** Policies that are all different: what they weigh, and how they are fetched again a day later. */
async function benchPolicies(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-bench-'))
  let offsetMs = 0
  let atOnce = 0
  let most = 0
  const clock = { nowMs: () => Date.now() + offsetMs }
  const store = createFileCache({ directory: folder, clock, onDamage: 'fail' })
  const answer = {
    status: 'found',
    records: [[Buffer.from('v=STSv1; id=1')]],
    ttlSeconds: 3600,
    authentic: false,
    canonicalName: 'x',
  } as const
  const finder = createPolicyFinder({
    resolver: { resolve: async () => answer as never },
    fetchPolicy: async (domain) => {
      most = Math.max(most, (atOnce += 1))
      if (offsetMs > 0) await pause(FETCH_MS)
      atOnce -= 1
      const text = `version: STSv1\r\nmode: enforce\r\nmx: mx1.${domain}\r\nmx: mx2.${domain}\r\nmax_age: 604800\r\n`
      return { status: 'found', text, policy: parsePolicy(text) }
    },
    store,
    clock,
    log: () => {},
  })
  try {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const inUse = (): number => {
      collect()
      collect()
      const { heapUsed, external } = process.memoryUsage()
      return heapUsed + external
    }
    await finder.find('first.example')
    const before = inUse()
    for (let at = 0; at < POLICIES; at += 1) await finder.find(`d${at}.example`)
    const megabytes = (inUse() - before) / 2 ** 20
    offsetMs = DAY_MS
    most = 0
    const refresher = createRefresher({
      keeper: finder,
      lease: createLease({ store, key: 'bench/refresh', ttlSeconds: 60 }),
      log: () => {},
      everyMs: ROUND_MS,
    })
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const awake = setInterval(() => {}, 1000) // a round does not keep a process alive
    const start = performance.now()
    const round = await refresher.run()
    const seconds = (performance.now() - start) / 1000
    clearInterval(awake)
    delay.disable()
    if (round?.fetched !== POLICIES + 1) throw new Error(`not all: ${JSON.stringify(round)}`)
    return [
      {
        name: `${POLICIES} policies, all different, in memory`,
        value: megabytes,
        unit: 'MB',
        target: { most: 20 },
      },
      {
        name: `the same fetched again a day later, in a round of ${ROUND_MS / 1000} s in place of an hour: time of it`,
        value: seconds,
        unit: 's',
        target: { most: ROUND_MS / 1000 },
      },
      { name: 'of that, fetches at one time at most', value: most, unit: '', target: { most: 4 } },
      { name: 'of that, event loop delay, p99', value: delay.percentile(99) / 1e6, unit: 'ms' },
    ]
  } finally {
    await finder.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function benchOutbound(): Promise<Row[]> {
  const keys = await makeSite('a.example')
  const authority = makeAuthority()
  const credentials = authority.issue('mx.b.example')
  const mta = await startMta({ conduct: { credentials } })
  const { raw } = new X509Certificate(credentials.certificate)
  const tlsa = formatTlsa(tlsaFor(raw, { usage: 3, selector: 1, matchingType: 1 }))
  const dns = await startDnsServer({
    'b.example': { MX: ['10 mx.b.example'], authentic: true, ttl: 3600 },
    'mx.b.example': { A: [mta.address], authentic: true, ttl: 3600 },
    [`_${mta.port}._tcp.mx.b.example`]: { TLSA: [tlsa], authentic: true, ttl: 3600 },
    'a.example': { TXT: ['signed'], authentic: true },
  })
  const files = (routes: Readonly<Record<string, number>>, plugins: readonly string[]) => ({
    ...siteFiles({
      domain: 'a.example',
      keys,
      dnsPort: dns.port,
      mailbox: 1,
      routes,
      plugins: ['auth/flat_file', 'rcpt_to.in_host_list', ...plugins, 'queue/smtp_forward'],
      table: "  '*': { encrypt: never }",
    }),
    'config/hisho.ini': hishoIni(dns.port, `[delivery]\nport=${mta.port}\n`),
    'config/hisho.dane.ini': 'probe=a.example\n',
    'config/outbound.ini': 'local_mx_ok=true\n',
    'config/loglevel': 'ERROR\n',
  })
  const folder = mkdtempSync(join(tmpdir(), 'hisho-bench-'))
  const ca = join(folder, 'ca.pem')
  writeFileSync(ca, authority.certificate)
  // Haraka's own TLS knows no other way to an authority.
  const environment = { ...siteEnvironment(keys), NODE_EXTRA_CA_CERTS: ca }
  const ours = await startHaraka({
    environment,
    files: files({}, ['hisho/mta_sts', 'hisho/dane']),
  })
  const bare = await startHaraka({ environment, files: files({ 'b.example': mta.port }, []) })
  const bytes = message('bob@b.example', 10_240)
  const through = (haraka: Haraka) => deliver(haraka, mta, bytes)
  try {
    const delivery = await sideBySide(
      ROUNDS,
      () => through(ours),
      () => through(bare),
      WARM_UPS,
    )
    if (mta.clear().includes('MAIL')) throw new Error('mail went in clear')
    return [
      {
        name: "hisho/mta_sts and hisho/dane: 10 KB mails accepted and delivered over STARTTLS, against Haraka's own",
        value: delivery.ours,
        unit: 'mails/s',
        ratio: delivery.ratio,
        target: { least: 0.95 },
      },
    ]
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
    await Promise.all([mta.close(), dns.close()])
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Until the last of them is delivered. */
async function deliver(haraka: Haraka, mta: SmtpMta, bytes: Buffer): Promise<number> {
  mta.forget()
  const start = performance.now()
  await rate(haraka, MAILS, () => ({ to: 'bob@b.example', bytes }), true)
  await mta.waitFor(MAILS, 120_000)
  return MAILS / ((performance.now() - start) / 1000)
}
