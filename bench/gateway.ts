// A gateway under load, and what its process needs for it.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DnsServer } from '../test/support/dns-server.ts'
import { startHaraka, type Files, type Haraka } from '../test/support/haraka.ts'
import { PASSWORD, siteEnvironment, siteFiles, USER, type SiteKeys } from '../test/support/site.ts'
import { openSession, submit } from '../test/support/smtp-client.ts'
import { startSink } from '../test/support/smtp-sink.ts'

const CONNECTIONS = 20
export const MAILS = 600
export const ROUNDS = 7
/** The compiler of a gateway that has run for a minute is done: so long a warm-up, in rounds. */
export const WARM_UPS = 4
export const COLD_MAILS = 400

export interface Bench {
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
const HARAKA = process.env.HARAKA + '/node_modules/haraka-plugin-hisho/dist/lib/haraka'
const { readExact } = require(HARAKA + '/exact-message.js')
const { replaceMessage } = require(HARAKA + '/replace-message.js')
exports.register = function () { this.register_hook('data_post', 'rewrite') }
exports.rewrite = function (next, connection) {
  const txn = connection.transaction
  readExact(txn, { undoRenaming: false })
    .then((message) => replaceMessage(txn, message, { passed: false }))
    .then(() => next(), (error) => { connection.logerror(this, String(error)); next(DENYSOFT) })
}
`,
}

export const message = (to: string, sizeBytes: number): Buffer => {
  const line = `${'The quick brown fox jumps over the lazy dog. '.repeat(2).slice(0, 76)}\r\n`
  const header = `From: alice@a.example\r\nTo: ${to}\r\nSubject: bench\r\nMessage-ID: <b@a.example>\r\nDate: Sun, 22 Nov 2026 05:00:00 +0000\r\n\r\n`
  return Buffer.from(header + line.repeat(Math.ceil((sizeBytes - header.length) / line.length)))
}

/** Mails a second, over so many connections, each with one mail after the other. */
export async function rate(
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

/** As `rate`, of mails that arrive, each of which it has not seen before. */
export function openingRate(haraka: Haraka, to: string, mails: readonly Buffer[]): Promise<number> {
  rmSync(join(haraka.directory, 'config', 'hisho.store', 'opened'), {
    recursive: true,
    force: true,
  })
  return rate(haraka, mails.length, (at) => ({ to, bytes: mails[at]! }), false)
}

export async function start(
  bench: Bench,
  domain: 'a' | 'b',
  plugins: readonly string[],
  files: Files = {},
  environment: Readonly<Record<string, string>> = {},
): Promise<Haraka> {
  const keys = domain === 'a' ? bench.keysA : bench.keysB
  return startHaraka({
    environment: { ...siteEnvironment(keys), YES_REALLY_DO_DISCARD: 'YES', ...environment },
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

export function gauge(haraka: Haraka): { p99: number; rss: number; peak: number } {
  return JSON.parse(readFileSync(join(haraka.directory, 'gauge'), 'utf8')) as {
    p99: number
    rss: number
    peak: number
  }
}

export async function resetGauge(haraka: Haraka): Promise<void> {
  writeFileSync(join(haraka.directory, 'gauge.reset'), '')
  await pause(400)
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

/** One message for each recipient, as it comes over the wire from a gateway of a.example with these plugins. */
export async function capture(
  bench: Bench,
  plugins: readonly string[],
  recipients: readonly string[],
  sizeBytes: number,
  files: Files = {},
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
      plugins,
      files,
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
    const deliveries = [...(await sink.waitFor(recipients.length, 120_000))]
    return recipients.map((to) => {
      const at = deliveries.findIndex((delivery) => delivery.to.includes(to))
      return deliveries.splice(at, 1)[0]!.message
    })
  } finally {
    await sender.stop()
    await sink.close()
  }
}
