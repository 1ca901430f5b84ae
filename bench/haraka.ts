// Whole gateways under load, against the same Haraka without us.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startDnsServer, type DnsServer } from '../test/support/dns-server.ts'
import { startHaraka, type Files, type Haraka } from '../test/support/haraka.ts'
import {
  makeSite,
  PASSWORD,
  siteEnvironment,
  siteFiles,
  USER,
  type SiteKeys,
} from '../test/support/site.ts'
import { openSession, submit } from '../test/support/smtp-client.ts'
import { startSink } from '../test/support/smtp-sink.ts'
import { sideBySide, type Row } from './report.ts'

const CONNECTIONS = 20
const MAILS = 600
const ROUNDS = 7
/** The compiler of a gateway that has run for a minute is done: so long a warm-up, in rounds. */
const WARM_UPS = 4
const COLD_MAILS = 400

interface Bench {
  readonly dns: DnsServer
  readonly keysA: SiteKeys
  readonly keysB: SiteKeys
}

/** Reports what its process needs, and rewrites messages without any cryptography. */
const PLUGINS: Files = {
  'plugins/gauge.js': `
const fs = require('fs')
const { monitorEventLoopDelay } = require('perf_hooks')
exports.register = function () {
  if (!require('cluster').isWorker) return
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let peak = 0
  const file = process.env.HARAKA + '/gauge'
  setInterval(() => { peak = Math.max(peak, process.memoryUsage().rss) }, 20).unref()
  setInterval(() => {
    if (fs.existsSync(file + '.reset')) { fs.unlinkSync(file + '.reset'); delay.reset(); peak = process.memoryUsage().rss }
    fs.writeFileSync(file + '.new', JSON.stringify({ p99: delay.percentile(99) / 1e6, rss: process.memoryUsage().rss, peak }))
    fs.renameSync(file + '.new', file)
  }, 100).unref()
}
`,
  'plugins/rewrite.js': `
const { readExact, replaceMessage } = require(process.env.HARAKA + '/node_modules/haraka-plugin-hisho/dist/lib/haraka/exact-message.js')
exports.register = function () { this.register_hook('data_post', 'rewrite') }
exports.rewrite = function (next, connection) {
  const txn = connection.transaction
  readExact(txn, { undoRenaming: false })
    .then((message) => replaceMessage(txn, message, { passed: false }))
    .then(() => next(), (error) => { connection.logerror(this, String(error)); next(DENYSOFT) })
}
`,
}

export async function benchHaraka(): Promise<Row[]> {
  const [keysA, keysB] = await Promise.all([makeSite('a.example'), makeSite('b.example')])
  const dns = await startDnsServer({
    '_ibemailkey.a.example': { TXT: [keysA.record], ttl: 3600 },
    '_ibemailkey.b.example': { TXT: [keysB.record], ttl: 3600 },
  })
  const bench = { dns, keysA, keysB }
  try {
    return [
      ...(await benchEncrypt(bench)),
      ...(await benchDelivery(bench)),
      ...(await benchDecrypt(bench)),
      ...(await benchLargeMessage(bench)),
    ]
  } finally {
    await dns.close()
  }
}

const message = (to: string, sizeBytes: number): Buffer => {
  const line = `${'The quick brown fox jumps over the lazy dog. '.repeat(2).slice(0, 76)}\r\n`
  const header = `From: alice@a.example\r\nTo: ${to}\r\nSubject: bench\r\nMessage-ID: <b@a.example>\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\n\r\n`
  return Buffer.from(header + line.repeat(Math.ceil((sizeBytes - header.length) / line.length)))
}

/** Mails a second, over so many connections, each with one mail after the other. */
async function rate(
  haraka: Haraka,
  count: number,
  make: (at: number) => { to: string; bytes: Buffer },
  login: boolean,
): Promise<number> {
  let sent = 0
  const start = performance.now()
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const session = await openSession(haraka.port)
      await session.command('EHLO bench.test')
      if (login)
        await session.command(
          `AUTH PLAIN ${Buffer.from(`\0${USER}\0${PASSWORD}`).toString('base64')}`,
        )
      while (sent < count) {
        const { to, bytes } = make(sent++)
        await session.command('MAIL FROM:<alice@a.example>')
        await session.command(`RCPT TO:<${to}>`)
        await session.command('DATA')
        const reply = await session.data(bytes)
        if (reply.code !== 250) throw new Error(`${reply.text}\n${haraka.log().slice(-2000)}`)
      }
      session.close()
    }),
  )
  return count / ((performance.now() - start) / 1000)
}

async function start(
  bench: Bench,
  domain: 'a' | 'b',
  plugins: readonly string[],
  files: Files = {},
): Promise<Haraka> {
  const keys = domain === 'a' ? bench.keysA : bench.keysB
  return startHaraka({
    environment: { ...siteEnvironment(keys), YES_REALLY_DO_DISCARD: 'YES' },
    files: {
      ...siteFiles({
        domain: `${domain}.example`,
        keys,
        dnsPort: bench.dns.port,
        mailbox: 1,
        routes: {},
        plugins,
      }),
      ...PLUGINS,
      'config/loglevel': 'ERROR\n',
      'config/outbound.ini': 'disabled=true\n',
      ...files,
    },
  })
}

function gauge(haraka: Haraka): { p99: number; rss: number; peak: number } {
  return JSON.parse(readFileSync(join(haraka.directory, 'gauge'), 'utf8')) as {
    p99: number
    rss: number
    peak: number
  }
}

async function resetGauge(haraka: Haraka): Promise<void> {
  writeFileSync(join(haraka.directory, 'gauge.reset'), '')
  await pause(400)
}

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

async function benchEncrypt(bench: Bench): Promise<Row[]> {
  const chain = ['auth/flat_file', 'rcpt_to.in_host_list', 'gauge']
  const ours = await start(bench, 'a', [...chain, 'hisho/encrypt'])
  const bare = await start(bench, 'a', chain)
  try {
    const bytes = message('bob@b.example', 10_240)
    const same = () => ({ to: 'bob@b.example', bytes })
    const queueing = await sideBySide(
      ROUNDS,
      () => rate(ours, MAILS, same, true),
      () => rate(bare, MAILS, same, true),
      WARM_UPS,
    )
    await resetGauge(ours)
    const cold = await rate(
      ours,
      COLD_MAILS,
      (at) => ({ to: `user${at}@b.example`, bytes: message(`user${at}@b.example`, 10_240) }),
      true,
    )
    await pause(300)
    return [
      {
        name: 'hisho/encrypt: 10 KB mails accepted and queued, against no hisho',
        value: queueing.ours,
        unit: 'mails/s',
        ratio: queueing.ratio,
        target: { least: 0.7 },
      },
      { name: 'hisho/encrypt: each mail to a new identity', value: cold, unit: 'mails/s' },
      {
        name: 'hisho/encrypt: event loop delay under that load, p99',
        value: gauge(ours).p99,
        unit: 'ms',
        target: { most: 20 },
      },
    ]
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
  }
}

/** As `benchEncrypt`, with what a mail server does at the same time: the queue is delivered to the next server. */
async function benchDelivery(bench: Bench): Promise<Row[]> {
  const sink = await startSink()
  const chain = ['auth/flat_file', 'rcpt_to.in_host_list']
  const files = (plugins: readonly string[]) => ({
    ...siteFiles({
      domain: 'a.example',
      keys: bench.keysA,
      dnsPort: bench.dns.port,
      mailbox: 1,
      routes: { 'b.example': sink.port },
      plugins: [...chain, ...plugins, 'queue/smtp_forward'],
    }),
    'config/loglevel': 'ERROR\n',
  })
  const environment = siteEnvironment(bench.keysA)
  const ours = await startHaraka({ environment, files: files(['hisho/encrypt']) })
  const bare = await startHaraka({ environment, files: files([]) })
  const bytes = message('bob@b.example', 10_240)
  /** Until the last of them is delivered. */
  const through = async (haraka: Haraka): Promise<number> => {
    sink.clear()
    const start = performance.now()
    await rate(haraka, MAILS, () => ({ to: 'bob@b.example', bytes }), true)
    await sink.waitFor(MAILS, 120_000)
    return MAILS / ((performance.now() - start) / 1000)
  }
  try {
    const delivery = await sideBySide(
      ROUNDS,
      () => through(ours),
      () => through(bare),
      WARM_UPS,
    )
    return [
      {
        name: 'hisho/encrypt: the same, until each is delivered to the next server',
        value: delivery.ours,
        unit: 'mails/s',
        ratio: delivery.ratio,
      },
    ]
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
    await sink.close()
  }
}

/** Ciphertexts as they come over the wire, made by a gateway of a.example. */
async function sealedMessages(
  bench: Bench,
  recipients: readonly string[],
  sizeBytes: number,
): Promise<Buffer[]> {
  const sink = await startSink()
  const sender = await startHaraka({
    environment: siteEnvironment(bench.keysA),
    files: siteFiles({
      domain: 'a.example',
      keys: bench.keysA,
      dnsPort: bench.dns.port,
      mailbox: 1,
      routes: { 'b.example': sink.port },
      plugins: ['auth/flat_file', 'hisho/encrypt', 'queue/smtp_forward'],
    }),
  })
  try {
    for (const to of recipients) {
      await submit({
        port: sender.port,
        from: 'alice@a.example',
        to: [to],
        message: message(to, sizeBytes),
        user: USER,
        password: PASSWORD,
      })
    }
    const deliveries = await sink.waitFor(recipients.length, 120_000)
    return recipients.map((to) => deliveries.find((delivery) => delivery.to.includes(to))!.message)
  } finally {
    await sender.stop()
    await sink.close()
  }
}

async function benchDecrypt(bench: Bench): Promise<Row[]> {
  const chain = ['rcpt_to.in_host_list', 'gauge']
  const ours = await start(bench, 'b', [...chain, 'hisho/decrypt', 'queue/discard'])
  const bare = await start(bench, 'b', [...chain, 'rewrite', 'queue/discard'])
  try {
    const [bytes] = await sealedMessages(bench, ['bob@b.example'], 10_240)
    const same = () => ({ to: 'bob@b.example', bytes: bytes! })
    const opening = await sideBySide(
      ROUNDS,
      () => rate(ours, MAILS, same, false),
      () => rate(bare, MAILS, same, false),
      WARM_UPS,
    )
    const names = Array.from({ length: 100 }, (_, at) => `cold${at}@b.example`)
    const cold = await sealedMessages(bench, names, 10_240)
    await resetGauge(ours)
    const rateOfCold = await rate(
      ours,
      names.length,
      (at) => ({ to: names[at]!, bytes: cold[at]! }),
      false,
    )
    await pause(300)
    return [
      {
        name: 'hisho/decrypt: 10 KB mails accepted, against reading and rewriting without crypto',
        value: opening.ours,
        unit: 'mails/s',
        ratio: opening.ratio,
        target: { least: 0.6 },
      },
      { name: 'hisho/decrypt: each mail for a new identity', value: rateOfCold, unit: 'mails/s' },
      {
        name: 'hisho/decrypt: event loop delay under that load, p99',
        value: gauge(ours).p99,
        unit: 'ms',
        target: { most: 20 },
      },
    ]
  } finally {
    await Promise.all([ours.stop(), bare.stop()])
  }
}

async function benchLargeMessage(bench: Bench): Promise<Row[]> {
  const sizeBytes = 25 * 1024 * 1024
  const encrypt = await start(bench, 'a', [
    'auth/flat_file',
    'rcpt_to.in_host_list',
    'gauge',
    'hisho/encrypt',
  ])
  const decrypt = await start(bench, 'b', [
    'rcpt_to.in_host_list',
    'gauge',
    'hisho/decrypt',
    'queue/discard',
  ])
  try {
    const [sealed] = await sealedMessages(bench, ['bob@b.example'], sizeBytes)
    const small = message('bob@b.example', 10_240)
    await rate(encrypt, 100, () => ({ to: 'bob@b.example', bytes: small }), true)
    await resetGauge(encrypt)
    const beforeEncrypt = gauge(encrypt).rss
    await submit({
      port: encrypt.port,
      from: 'alice@a.example',
      to: ['bob@b.example'],
      message: message('bob@b.example', sizeBytes),
      user: USER,
      password: PASSWORD,
    })
    await resetGauge(decrypt)
    const beforeDecrypt = gauge(decrypt).rss
    await submit({
      port: decrypt.port,
      from: 'alice@a.example',
      to: ['bob@b.example'],
      message: sealed!,
    })
    await pause(300)
    return [
      {
        name: 'hisho/encrypt: memory for one message of 25 MB',
        value: (gauge(encrypt).peak - beforeEncrypt) / 1e6,
        unit: 'MB',
        target: { most: 150 },
      },
      {
        name: 'hisho/decrypt: memory for one message of 25 MB',
        value: (gauge(decrypt).peak - beforeDecrypt) / 1e6,
        unit: 'MB',
        target: { most: 150 },
      },
    ]
  } finally {
    await Promise.all([encrypt.stop(), decrypt.stop()])
  }
}
