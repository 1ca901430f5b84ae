// The man in the middle of the IBEmail paper (its figure 10), tried on real gateways: he answers a's questions to DNS, and a's
// mail goes through his server. What a remembers of b from before keeps him out; a first contact does not.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import { request, type RequestListener } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { systemClock } from '../../lib/clock.ts'
import { generateX25519Identity } from '../../lib/container/x25519.ts'
import { createIbe, createIbePool, type Ibe } from '../../lib/ibe/ibe.ts'
import { ownRecords } from '../../lib/services/own-records.ts'
import { withMasterKey, type VaultContents } from '../../lib/vault/contents.ts'
import { hisho, type Result } from '../cli/site.ts'
import { assertOpened, isCiphertext } from '../support/arrival.ts'
import { makeAuthority, type Authority, type Credentials } from '../support/authority.ts'
import { startDnsServer, type DnsServer, type ZoneEntry } from '../support/dns-server.ts'
import { freePort, startHaraka, writeFiles, type Haraka } from '../support/haraka.ts'
import { hishoIni, PASSWORD, siteFiles, USER, vaultBytes } from '../support/site.ts'
import { submit, type Reply } from '../support/smtp-client.ts'
import { startSink, type Delivery, type SmtpSink } from '../support/smtp-sink.ts'
import { letter } from '../support/world.ts'

/** Both are b's. Mail for the one must be encrypted, for the other where it can be. */
const REQUIRED = 'b.example'
const WHERE_POSSIBLE = 'o.example'
const DOMAINS = [REQUIRED, WHERE_POSSIBLE]
/** Nobody has ever written to it. */
const FRESH = 'fresh.example'
/** Those that have a web server too. What it says is kept for an hour: a test each. */
const WEB = ['w1.example', 'w2.example', 'w3.example', 'w4.example'] as const
const OURS = [...DOMAINS, FRESH, ...WEB]

/** A domain's keys, and what each choice of its generations publishes. */
interface Keys {
  readonly contents: VaultContents
  records(...serials: number[]): readonly string[]
}

/** The records of later generations are signed by those before them that are published with them, or in `signers`. */
async function makeKeys(ibe: Ibe, domain: string, serials: readonly number[]): Promise<Keys> {
  let contents: VaultContents = new Map()
  const texts = new Map<string, readonly string[]>()
  for (const n of serials) {
    for (const scheme of ['bf', 'cc'] as const) {
      const masterKey = await ibe.generateMasterKey()
      const publicKey = Buffer.from(await ibe.publicKey(masterKey)).toString('base64')
      const created = new Date().toISOString()
      const entry = { scheme, n, period: 'month', masterKey, publicKey, created } as const
      contents = withMasterKey(contents, domain, entry)
    }
  }
  const all = await ownRecords(ibe, contents, domain)
  for (const n of serials)
    texts.set(
      String(n),
      all.filter(({ entry }) => entry.n === n).map(({ text }) => text),
    )
  return { contents, records: (...wanted) => wanted.flatMap((n) => texts.get(String(n)) ?? []) }
}

function unsigned(records: readonly string[]): readonly string[] {
  return records.map((text) => text.replace(/; s=.*$/, ''))
}

function together(...all: readonly VaultContents[]): VaultContents {
  return new Map(all.flatMap((contents) => [...contents]))
}

describe('forged DNS', () => {
  let dns: DnsServer
  let authority: Authority
  let a: Haraka
  let b: Haraka
  let inboxB: SmtpSink
  /** The attacker's mail server: a's way to b leads through it. */
  let middle: SmtpSink
  /** Where the attacker's command finds his master keys. */
  let evilDirectory = ''
  let evilPassphrase = ''
  let httpB = 0
  let httpsPort = 0
  /** By domain. The second generation is signed by the first one. */
  const genuine = new Map<string, Keys>()
  const evil = new Map<string, Keys>()
  const closing: (() => Promise<void> | void)[] = []

  before(async () => {
    const pool = createIbePool({ size: 1, queueLimit: 100 })
    const ibe = createIbe({ pool, clock: systemClock })
    for (const domain of OURS) {
      genuine.set(domain, await makeKeys(ibe, domain, [1, 2]))
      evil.set(domain, await makeKeys(ibe, domain, [1, 2]))
    }
    await pool.close()
    dns = await startDnsServer({})
    authority = makeAuthority()
    ;[inboxB, middle] = await Promise.all([startSink(), startSink()])
    httpB = await freePort()
    httpsPort = await freePort()
    await startGateways()
    await makeEvilDirectory()
  })
  after(async () => {
    await Promise.all([a?.stop(), b?.stop()])
    await Promise.all([
      inboxB?.close(),
      middle?.close(),
      dns?.close(),
      ...closing.map((end) => end()),
    ])
    authority?.close()
    if (evilDirectory !== '') rmSync(evilDirectory, { recursive: true })
  })

  async function startGateways(): Promise<void> {
    const [keyA, keyB] = [generateX25519Identity().identity, generateX25519Identity().identity]
    const vaultB = together(...[...genuine.values()].map(({ contents }) => contents))
    const routes = Object.fromEntries(OURS.map((domain) => [domain, middle.port]))
    const keys = (passphrase: string, contents: VaultContents) => ({
      contents,
      record: '',
      records: [],
      passphrase,
      files: {},
    })
    const common = { dnsPort: dns.port, mailbox: inboxB.port }
    ;[a, b] = await Promise.all([
      startHaraka({
        environment: { HISHO_PASSPHRASE: keyA },
        files: siteFiles({
          ...common,
          domain: 'a.example',
          keys: keys(keyA, new Map()),
          routes,
          table: OURS.filter((domain) => domain !== WHERE_POSSIBLE)
            .map((domain) => `  ${domain}: { encrypt: required }`)
            .join('\n'),
          files: {
            'config/hisho.vault.age': await vaultBytes(new Map(), keyA),
            'config/ca.pem': authority.certificate,
            'config/hisho.ini': hishoIni(
              dns.port,
              `[well_known]\nport=${httpsPort}\ntimeout_ms=2000\nca_file=ca.pem\n`,
            ),
          },
        }),
      }),
      startHaraka({
        environment: { HISHO_PASSPHRASE: keyB },
        files: siteFiles({
          ...common,
          domain: REQUIRED,
          keys: keys(keyB, vaultB),
          routes: {},
          plugins: [
            'rcpt_to.in_host_list',
            'hisho/decrypt',
            'hisho/well_known',
            'queue/smtp_forward',
          ],
          files: {
            'config/http.ini': `listen=127.0.0.1:${httpB}\n`,
            'config/host_list': `${OURS.join('\n')}\n`,
            'config/hisho.yaml': `local: [${OURS.join(', ')}]\n`,
            'config/hisho.vault.age': await vaultBytes(vaultB, keyB),
          },
        }),
      }),
    ])
  }

  async function makeEvilDirectory(): Promise<void> {
    evilPassphrase = generateX25519Identity().identity
    evilDirectory = mkdtempSync(join(tmpdir(), 'hisho-evil-'))
    const contents = together(...[...evil.values()].map((keys) => keys.contents))
    writeFiles(evilDirectory, {
      'config/hisho.ini': hishoIni(dns.port),
      'config/hisho.yaml': `local: [${[...evil.keys()].join(', ')}]\n`,
      'config/hisho.vault.age': await vaultBytes(contents, evilPassphrase),
    })
  }

  const publish = (domain: string, entry: ZoneEntry | undefined): void => {
    const name = `_ibemailkey.${domain}`
    if (entry) dns.zone[name] = { ttl: 0, soa: { ttl: 0, minimum: 0 }, ...entry }
    else delete dns.zone[name]
  }
  const publishGenuine = (...serials: number[]): void => {
    for (const [domain, keys] of genuine) publish(domain, { TXT: keys.records(...serials) })
  }
  const send = (to: string, message: string): Promise<Reply> =>
    submit({
      port: a.port,
      from: 'alice@a.example',
      to: [to],
      message: Buffer.from(message, 'latin1'),
      user: USER,
      password: PASSWORD,
    })
  const command = (...args: string[]): Promise<Result> =>
    hisho(['--haraka', a.directory, ...args], { env: { HISHO_PASSPHRASE: 'not needed' } })
  const store = (): string => join(a.directory, 'config', 'hisho.store')
  /** All that is remembered. */
  const remembered = (): string[] =>
    readdirSync(store())
      .sort()
      .map((name) => readFileSync(join(store(), name), 'utf8'))

  /** a has written to b.example and o.example before, and nobody had forged anything then. */
  beforeEach(async () => {
    middle.clear()
    for (const domain of OURS) delete dns.zone[`ibemail.${domain}`]
    rmSync(store(), { recursive: true, force: true })
    dns.zone['example'] = { soa: { ttl: 0, minimum: 0 } }
    publishGenuine(1)
    publish(FRESH, undefined)
    for (const domain of DOMAINS)
      assert.equal(
        (await send(`bob@${domain}`, letter('first contact', { To: `bob@${domain}` }))).code,
        250,
      )
    await middle.waitFor(DOMAINS.length)
    middle.clear()
    inboxB.clear()
    a.forgetLog()
  })

  let count = 0
  interface Sent {
    readonly reply: Reply
    readonly secret: string
    readonly message: string
    readonly to: string
  }
  const sendTo = async (domain: string): Promise<Sent> => {
    const secret = `secret-${Date.now()}-${++count}`
    const to = `bob@${domain}`
    const message = letter(secret, { To: to })
    return { reply: await send(to, message), secret, message, to }
  }

  /** What the man in the middle has, with all master keys that he has. */
  const evilOpens = (delivery: Delivery, to: string): Promise<Result> =>
    hisho(['--haraka', evilDirectory, 'decrypt', '-r', to], {
      env: { HISHO_PASSPHRASE: evilPassphrase },
      input: delivery.message,
    })

  async function intercepted(sent: Sent): Promise<Delivery> {
    assert.equal(sent.reply.code, 250, sent.reply.text)
    const [delivery] = await middle.waitFor(1)
    middle.clear()
    assert.ok(isCiphertext(delivery!.message))
    assert.ok(!delivery!.wire.includes(sent.secret), 'plaintext on the wire')
    return delivery!
  }

  /** The one in the middle passes it on, and b opens it: it was sealed for b. Resolves with the serial. */
  async function assertForB(sent: Sent): Promise<number> {
    const delivery = await intercepted(sent)
    const tried = await evilOpens(delivery, sent.to)
    assert.notEqual(tried.code, 0)
    assert.equal(tried.text, '')
    const passed = await submit({
      port: b.port,
      from: delivery.from,
      to: delivery.to,
      message: delivery.message,
    })
    assert.equal(passed.code, 250, passed.text)
    const [arrived] = await inboxB.waitFor(1)
    inboxB.clear()
    assertOpened(arrived!.message, Buffer.from(sent.message, 'latin1'))
    return Number(/^Hisho-Decrypted: ibe-bf; n=(\d+);/m.exec(arrived!.message.toString())?.[1])
  }

  /** Nothing of it is anywhere but with its sender. */
  function assertHeld({ reply, secret }: Sent, text: RegExp): void {
    assert.equal(reply.code, 450, reply.text)
    assert.match(reply.text, text)
    assert.equal(middle.deliveries.length, 0)
    // The QUIT of an earlier connection may still come.
    assert.doesNotMatch(middle.wire().toString('latin1'), /MAIL FROM|DATA|secret/)
    assert.deepEqual(a.queued(), [])
    assert.ok(!a.log().includes(secret), 'plaintext in the log')
  }

  const CHANGED = /4\.7\.5 the key of b\.example has changed and is not confirmed/

  /** What stands in the answers to a's questions. */
  const forgeries: readonly (readonly [
    string,
    RegExp,
    (own: Keys, his: Keys) => readonly string[],
  ])[] = [
    [
      'his key under a higher serial',
      /it publishes n=2, which nothing vouches for, where n=1/,
      (_own, his) => unsigned(his.records(2)),
    ],
    [
      'his key under the same serial',
      /it publishes another n=1, which nothing vouches for/,
      (_own, his) => his.records(1),
    ],
    [
      'his key, signed by another key of his',
      /it publishes .*n=2, which nothing vouches for/,
      (_own, his) => his.records(1, 2),
    ],
    [
      'his key, with the signature that b once made for its own',
      /it publishes n=2, which nothing vouches for/,
      (own, his) => {
        const made = own.records(2).map((text) => /; s=.*$/.exec(text)?.[0] ?? '')
        assert.ok(made.every((signature) => signature !== ''))
        return unsigned(his.records(2)).map((text, at) => `${text}${made[at]}`)
      },
    ],
    [
      'his key beside those of b',
      /it publishes n=2, which nothing vouches for/,
      (own, his) => [...own.records(1), ...his.records(2)],
    ],
    [
      'his key beside that of b, under the same serial',
      /it publishes another n=1/,
      (own, his) => [...own.records(1), ...his.records(1)],
    ],
    [
      'his key to encrypt, and of b the key to sign',
      /a=bf: it publishes another n=1/,
      (own, his) => [his.records(1)[0]!, own.records(1)[1]!],
    ],
  ]
  for (const [what, alert, records] of forgeries) {
    it(`${what}: held where encryption is required, sealed for b elsewhere`, async () => {
      for (const domain of DOMAINS)
        publish(domain, { TXT: records(genuine.get(domain)!, evil.get(domain)!) })
      const before = remembered()
      assertHeld(await sendTo(REQUIRED), CHANGED)
      await a.waitForLog(
        new RegExp(`\\[ERROR\\].*b\\.example: a=bf: .*${alert.source.replace('a=bf: ', '')}`),
      )
      await a.waitForLog(/hisho params accept b\.example/)
      await assertForB(await sendTo(WHERE_POSSIBLE))
      await a.waitForLog(/\[ERROR\].*o\.example: a=bf: it publishes/)
      assert.deepEqual(remembered(), before)
      publishGenuine(1)
      await assertForB(await sendTo(REQUIRED))
    })
  }

  for (const [what, entry] of [
    ['that there is no such name', undefined],
    ['that there is nothing at the name', { A: ['192.0.2.1'] }],
    ['a record that is none of ours', { TXT: ['v=spf1 -all'] }],
  ] as const) {
    it(`he answers ${what}: held where encryption is required, sealed for b elsewhere`, async () => {
      for (const domain of DOMAINS) publish(domain, entry)
      const before = remembered()
      assertHeld(await sendTo(REQUIRED), CHANGED)
      await a.waitForLog(/\[ERROR\].*b\.example: a=bf: it publishes n=1 no more/)
      await assertForB(await sendTo(WHERE_POSSIBLE))
      assert.deepEqual(remembered(), before)
    })
  }

  for (const misbehave of ['servfail', 'refused', 'drop', 'garbage'] as const) {
    it(`he answers nothing of use (${misbehave}): all waits`, async () => {
      for (const domain of DOMAINS) publish(domain, { misbehave })
      const before = remembered()
      for (const domain of DOMAINS) assertHeld(await sendTo(domain), /4\.4\.3/)
      assert.deepEqual(remembered(), before)
    })
  }

  it('a rotation that the older keys have signed flows, and he cannot lead back to before it', async () => {
    publishGenuine(1, 2)
    for (const domain of DOMAINS) assert.equal(await assertForB(await sendTo(domain)), 2)
    publishGenuine(2)
    for (const domain of DOMAINS) assert.equal(await assertForB(await sendTo(domain)), 2)
    assert.doesNotMatch(a.log(), /\[ERROR\]/)

    publishGenuine(1) // an old answer, good in its time
    for (const domain of DOMAINS) assert.equal(await assertForB(await sendTo(domain)), 2)
  })

  it('a rotation that nothing vouches for waits for the operator, and flows once it is accepted', async () => {
    for (const [domain, keys] of genuine) publish(domain, { TXT: unsigned(keys.records(2)) })
    assertHeld(await sendTo(REQUIRED), CHANGED)
    const shown = await command('params', 'show', REQUIRED)
    assert.match(shown.text, /^changed, not used where encryption is required: it publishes n=2/m)
    const accepted = await command('params', 'accept', REQUIRED, '--yes')
    assert.equal(accepted.code, 0, accepted.stderr)
    assert.match(accepted.text, /Accepted: bf n=2, cc n=2\./)
    await assertForB(await sendTo(REQUIRED))
    publish(REQUIRED, { TXT: evil.get(REQUIRED)!.records(2) })
    assertHeld(await sendTo(REQUIRED), CHANGED)
  })

  it('what a trusted resolver has authenticated is believed at once, and remembered', async () => {
    for (const domain of DOMAINS)
      publish(domain, { TXT: unsigned(genuine.get(domain)!.records(2)), authentic: true })
    for (const domain of DOMAINS) await assertForB(await sendTo(domain))
    assert.doesNotMatch(a.log(), /\[ERROR\]/)
    for (const domain of DOMAINS)
      publish(domain, { TXT: unsigned(genuine.get(domain)!.records(2)) })
    await assertForB(await sendTo(REQUIRED))
    publish(REQUIRED, { TXT: evil.get(REQUIRED)!.records(2) })
    assertHeld(await sendTo(REQUIRED), CHANGED)
  })

  describe('with a web server at ibemail.<domain>', () => {
    async function startServer(
      address: string,
      { certificate: cert, privateKey: key }: Credentials,
      listener: RequestListener,
    ): Promise<void> {
      const server = createServer({ cert, key }, listener)
      server.listen(httpsPort, address)
      await once(server, 'listening')
      closing.push(async () => {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      })
    }
    const his = makeAuthority()

    before(async () => {
      // As docs/well_known.md: the path and the name are passed on.
      const names = WEB.map((domain) => `DNS:ibemail.${domain}`).join()
      await startServer(
        '127.0.0.1',
        authority.issue('proxy', { names }),
        ({ url, headers: { host = '' } }, response) => {
          request({ port: httpB, path: url, headers: { host } }, (answer) => {
            response.writeHead(answer.statusCode ?? 502, answer.headers)
            answer.pipe(response)
          }).end()
        },
      )
      await startServer('127.0.0.2', his.issue(`ibemail.${REQUIRED}`), (_request, response) => {
        response.setHeader('content-type', 'text/plain')
        response.end(evil.get(REQUIRED)!.records(2).join('\n'))
      })
    })
    after(() => his.close())

    const webServer = (domain: string, address: string): void => {
      dns.zone[`ibemail.${domain}`] = { A: [address], ttl: 0 }
    }

    for (const [domain, what, serial] of [
      [WEB[0], 'his key under a higher serial', 2],
      [WEB[1], 'his key under the same serial', 1],
      [WEB[2], 'the answer that there is no such name', undefined],
    ] as const) {
      it(`against ${what} the file that b serves is believed`, async () => {
        assert.equal(await assertForB(await sendTo(domain)), 1)
        webServer(domain, '127.0.0.1')
        publish(domain, serial && { TXT: evil.get(domain)!.records(serial) })
        assert.equal(await assertForB(await sendTo(domain)), 2, 'it names both, and DNS only one')
        assert.doesNotMatch(a.log(), /\[ERROR\]/)
        assert.match((await command('params', 'show', domain)).text, /^authenticated: well_known$/m)
      })
    }

    it('a first contact is safe', async () => {
      const [, , , domain] = WEB
      webServer(domain, '127.0.0.1')
      publish(domain, { TXT: evil.get(domain)!.records(1) })
      assert.equal(await assertForB(await sendTo(domain)), 2)
    })

    it('his own web server, without the certificate, changes nothing', async () => {
      webServer(REQUIRED, '127.0.0.2')
      publish(REQUIRED, { TXT: evil.get(REQUIRED)!.records(2) })
      const before = remembered()
      assertHeld(await sendTo(REQUIRED), CHANGED)
      await a.waitForLog(/b\.example: its \/\.well-known\/ibemail\.txt is of no use/)
      assert.deepEqual(remembered(), before)
      publishGenuine(1)
      await assertForB(await sendTo(REQUIRED))
    })
  })

  describe('at the first contact', () => {
    it('he is taken for the domain: a limit, and it shows as soon as the domain is heard itself', async () => {
      publish(FRESH, { TXT: evil.get(FRESH)!.records(1) })
      const shown = await command('params', 'show', FRESH)
      assert.match(shown.text, /^new: seen for the first time/m)
      const sent = await sendTo(FRESH)
      const delivery = await intercepted(sent)
      const opened = await evilOpens(delivery, sent.to)
      assert.equal(opened.code, 0, opened.stderr)
      assert.ok(opened.text.includes(sent.secret), 'his key opens it: that is why DNSSEC is better')

      publish(FRESH, { TXT: genuine.get(FRESH)!.records(1) })
      const later = await sendTo(FRESH)
      assertHeld(later, /4\.7\.5 the key of fresh\.example has changed/)
      await a.waitForLog(/\[ERROR\].*fresh\.example: a=bf: it publishes another n=1/)
      assert.equal((await command('params', 'accept', FRESH, '--yes')).code, 0)
      await assertForB(await sendTo(FRESH))
    })
  })
})
