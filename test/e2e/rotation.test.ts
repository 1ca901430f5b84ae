// Rotation under load: senders whose caches are of different age write without a pause while a domain goes from one
// generation to the next with `hisho kgc rotate`. Every message is opened, none is deferred, none comes twice. The same for
// the change of a period at midnight UTC, with clocks that differ.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { hisho } from '../cli/site.ts'
import { clockEnvironment } from '../support/clock-environment.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { startHaraka, type Haraka } from '../support/haraka.ts'
import {
  ALL_PLUGINS,
  hishoIni,
  makeSite,
  PASSWORD,
  siteEnvironment,
  siteFiles,
  USER,
  type SiteKeys,
} from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import { startSink, type Delivery, type SmtpSink } from '../support/smtp-sink.ts'
import { letter } from '../support/world.ts'

const DAY_MS = 86_400_000

interface Sender {
  readonly domain: string
  readonly haraka: Haraka
}

const text = (delivery: Delivery): string => delivery.message.toString('latin1')
const serialOf = (delivery: Delivery): number =>
  Number(/^Hisho-Decrypted: ibe-bf; n=(\d+);/m.exec(text(delivery))?.[1] ?? NaN)
const signedUnder = (delivery: Delivery): number =>
  Number(/^IBE-Signature: [^]*? n=(\d+);/m.exec(text(delivery))?.[1] ?? NaN)
const idOf = (delivery: Delivery): string => /^Message-ID: (\S+)/im.exec(text(delivery))?.[1] ?? ''
const domainOf = (delivery: Delivery): string =>
  /^From: .*@([a-z0-9.]+)>/m.exec(text(delivery))?.[1] ?? ''

/** Senders that write to b.example until they are told to stop, each message when the one before was accepted. */
class Traffic {
  readonly accepted: string[] = []
  readonly refused: string[] = []
  private going = true
  private readonly running: Promise<void>[]

  constructor(senders: readonly Sender[], pauseMs: number) {
    this.running = senders.map((sender) => this.write(sender, pauseMs))
  }

  async stop(): Promise<void> {
    this.going = false
    await Promise.all(this.running)
  }

  private async write({ domain, haraka }: Sender, pauseMs: number): Promise<void> {
    for (let count = 1; this.going; count++) {
      const id = `<${count}@${domain}>`
      const fields = { From: `Alice <alice@${domain}>`, 'Message-ID': id }
      const reply = await submit({
        port: haraka.port,
        from: `alice@${domain}`,
        to: ['bob@b.example'],
        message: Buffer.from(letter(`number ${count}`, fields)),
        user: USER,
        password: PASSWORD,
      })
      if (reply.code === 250) this.accepted.push(id)
      else this.refused.push(`${id}: ${reply.code} ${reply.text}`)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}

/** Everything accepted has come, once, opened, with a good signature. */
async function assertComplete(traffic: Traffic, inbox: SmtpSink): Promise<void> {
  assert.deepEqual(traffic.refused, [])
  await inbox.waitFor(traffic.accepted.length, 60_000)
  assert.deepEqual(inbox.deliveries.map(idOf).sort(), [...traffic.accepted].sort())
  for (const delivery of inbox.deliveries) {
    assert.match(text(delivery), /^Hisho-Decrypted: .*signature=pass\r$/m)
    assert.match(text(delivery), /here is number/)
  }
}

async function startSender(
  domain: string,
  {
    dns,
    to,
    ceiling,
    environment = {},
  }: { dns: DnsServer; to: number; ceiling: number; environment?: Record<string, string> },
): Promise<Sender & { readonly keys: SiteKeys }> {
  const keys = await makeSite(domain)
  dns.zone[`_ibemailkey.${domain}`] = { TXT: keys.records, ttl: 2 }
  const haraka = await startHaraka({
    environment: { ...siteEnvironment(keys), ...environment },
    files: siteFiles({
      domain,
      keys,
      dnsPort: dns.port,
      mailbox: 1,
      routes: { 'b.example': to },
      plugins: ALL_PLUGINS,
      table: '  b.example: { encrypt: required }',
      files: { 'config/hisho.ini': hishoIni(dns.port, `ttl_ceiling=${ceiling}\n`) },
    }),
  })
  return { domain, haraka, keys }
}

describe('a rotation under load', () => {
  let dns: DnsServer
  let inbox: SmtpSink
  let b: Haraka
  let keysB: SiteKeys
  let senders: (Sender & { readonly keys: SiteKeys })[]

  before(async () => {
    dns = await startDnsServer()
    inbox = await startSink()
    keysB = await makeSite('b.example')
    dns.zone['_ibemailkey.b.example'] = { TXT: keysB.records, ttl: 20 }
    b = await startHaraka({
      environment: siteEnvironment(keysB),
      files: siteFiles({
        domain: 'b.example',
        keys: keysB,
        dnsPort: dns.port,
        mailbox: inbox.port,
        routes: {},
        plugins: ALL_PLUGINS,
      }),
    })
    // They keep an answer for one second, five, and all of its time to live.
    senders = await Promise.all(
      [1, 5, 3600].map((ceiling, at) =>
        startSender(`a${at + 1}.example`, { dns, to: b.port, ceiling }),
      ),
    )
  })
  after(async () => {
    await Promise.all([...(senders ?? []).map(({ haraka }) => haraka.stop()), b?.stop()])
    await Promise.all([inbox?.close(), dns?.close()])
  })

  /** The command on a site's directory, as if so many days had passed. */
  async function run(
    haraka: Haraka,
    keys: SiteKeys,
    args: readonly string[],
    days = 0,
  ): Promise<string> {
    const {
      code,
      text: out,
      stderr,
    } = await hisho(['--haraka', haraka.directory, ...args], {
      env: { HISHO_PASSPHRASE: keys.passphrase, ...clockEnvironment(days * DAY_MS) },
    })
    assert.equal(code, 0, stderr)
    return out
  }
  const publish = async (
    haraka: Haraka,
    keys: SiteKeys,
    domain: string,
    ttl: number,
  ): Promise<void> => {
    const { vault } = JSON.parse(await run(haraka, keys, ['params', 'show', domain, '--json'])) as {
      vault: string[]
    }
    dns.zone[`_ibemailkey.${domain}`] = { TXT: vault, ttl }
  }
  /** Until each sender has a message opened that meets this. */
  async function waitForAll(what: string, holds: (delivery: Delivery) => boolean): Promise<void> {
    for (let tries = 0; tries < 600; tries++) {
      const seen = new Set(inbox.deliveries.filter(holds).map(domainOf))
      if (seen.size === senders.length) return
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    assert.fail(`not all senders: ${what}`)
  }

  it(
    'every message is opened and verified, none is deferred, none comes twice',
    { timeout: 300_000 },
    async () => {
      const traffic = new Traffic(senders, 150)
      const rotate = (days = 0) => run(b, keysB, ['kgc', 'rotate', '--domain', 'b.example'], days)
      try {
        await waitForAll('n=1', (delivery) => serialOf(delivery) === 1)

        // The receiver's encryption keys.
        assert.match(await rotate(), /Publish bf n=2, beside/)
        await publish(b, keysB, 'b.example', 20)
        await waitForAll('n=2', (delivery) => serialOf(delivery) === 2)
        assert.match(await rotate(), /Leave both there/)
        assert.match(await rotate(6), /Remove from DNS/)
        await publish(b, keysB, 'b.example', 20)
        const mark = inbox.deliveries.length
        await waitForAll(
          'n=2 alone',
          (delivery) => inbox.deliveries.indexOf(delivery) > mark && serialOf(delivery) === 2,
        )
        assert.match(
          await run(b, keysB, ['kgc', 'retire', '--domain', 'b.example', '--yes'], 20),
          /bf n=1/,
        )

        // A sender's signing keys.
        const [{ haraka, keys, domain }] = senders as [(typeof senders)[number]]
        assert.match(
          await run(haraka, keys, ['kgc', 'rotate', '--domain', domain, '--scheme', 'cc']),
          /Publish cc n=2/,
        )
        await publish(haraka, keys, domain, 2)
        for (
          let tries = 0;
          tries < 300 &&
          !inbox.deliveries.some((one) => domainOf(one) === domain && signedUnder(one) === 2);
          tries++
        )
          await new Promise((resolve) => setTimeout(resolve, 100))
      } finally {
        await traffic.stop()
      }
      await assertComplete(traffic, inbox)
      assert.deepEqual(new Set(inbox.deliveries.map(serialOf)), new Set([1, 2]))
      assert.deepEqual(new Set(inbox.deliveries.map(signedUnder)), new Set([1, 2]))
      assert.ok(traffic.accepted.length > 30, `only ${traffic.accepted.length} messages`)
    },
  )
})

describe('the change of a period at midnight UTC', () => {
  it('is no matter, with clocks five minutes apart', { timeout: 180_000 }, async () => {
    const dns = await startDnsServer()
    const inbox = await startSink()
    const keysB = await makeSite('b.example', { period: 'day' })
    dns.zone['_ibemailkey.b.example'] = { TXT: keysB.records, ttl: 300 }
    // It is ten seconds to midnight for the receiver's clock; the senders' are five minutes before and behind.
    const toMidnight = DAY_MS - (Date.now() % DAY_MS)
    const offset = toMidnight - 10_000
    const b = await startHaraka({
      environment: { ...siteEnvironment(keysB), ...clockEnvironment(offset) },
      files: siteFiles({
        domain: 'b.example',
        keys: keysB,
        dnsPort: dns.port,
        mailbox: inbox.port,
        routes: {},
        plugins: ALL_PLUGINS,
      }),
    })
    const senders = await Promise.all(
      [-300_000, 0, 300_000].map((more, at) =>
        startSender(`a${at + 1}.example`, {
          dns,
          to: b.port,
          ceiling: 60,
          environment: clockEnvironment(offset + more),
        }),
      ),
    )
    try {
      const started = Date.now()
      const traffic = new Traffic(senders, 100)
      const periods = (): Set<string> =>
        new Set(
          inbox.deliveries.map(
            (delivery) => /identity="bob@b\.example#([-\d]+)"/.exec(text(delivery))?.[1] ?? '',
          ),
        )
      for (let tries = 0; tries < 400; tries++) {
        const isPast = Date.now() + offset > started + offset + 15_000
        if (isPast && periods().size === 2) break
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      await traffic.stop()
      await assertComplete(traffic, inbox)
      assert.equal(periods().size, 2)
    } finally {
      await Promise.all([b.stop(), ...senders.map(({ haraka }) => haraka.stop())])
      await Promise.all([inbox.close(), dns.close()])
    }
  })
})
