// `hisho kgc serve`, and the commands of a gateway whose keys come from it.
import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { after, before, beforeEach, describe, it } from 'node:test'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { startKgc, type KgcProcess } from '../support/kgc.ts'
import { peer } from '../support/peers.ts'
import { makeSite, type SiteKeys } from '../support/site.ts'
import { openSite, type Result, type Site } from './site.ts'

const CLEAR = 'From: alice@a.example\r\nTo: bob@b.example\r\nSubject: x\r\n\r\nsecret words\r\n'
const FINGERPRINT = /(?:[0-9a-f]{4}-){7}[0-9a-f]{4}/

interface Finding {
  readonly check: string
  readonly status: string
  readonly found: string
}

describe('a gateway of a KGC', { skip: peer('openssl', 'openssl') }, () => {
  let authority: Authority
  let keys: SiteKeys
  let kgc: KgcProcess
  let site: Site
  before(async () => {
    authority = makeAuthority()
    keys = await makeSite('b.example')
    kgc = await startKgc({ keys, authority, gateways: 'mx.b.example=b.example, c.example' })
  })
  after(async () => {
    await kgc?.close()
    authority?.close()
  })
  beforeEach(async (context) => {
    site = await openSite()
    const own = authority.issue('mx.b.example', { usage: 'clientAuth' })
    site.write('config/kgc-ca.pem', authority.certificate)
    site.write('config/gateway.pem', own.certificate)
    site.write('config/gateway.key', own.privateKey, 0o600)
    site.dns.zone['_ibemailkey.b.example'] = { TXT: keys.records }
    if ('after' in context) context.after(() => site.close())
  })

  const run = (...args: string[]): Promise<Result> =>
    site.run(args, { env: { HISHO_PASSPHRASE: '' } })
  const init = (...more: string[]): Promise<Result> =>
    run(
      'init',
      '--domain=b.example',
      `--kgc=https://127.0.0.1:${kgc.port}`,
      `--kgc-ca=${site.file('config/kgc-ca.pem')}`,
      `--kgc-cert=${site.file('config/gateway.pem')}`,
      `--kgc-key=${site.file('config/gateway.key')}`,
      ...more,
    )
  const findings = async (): Promise<Record<string, Finding>> => {
    const { checks } = JSON.parse((await run('doctor', '--json')).text) as { checks: Finding[] }
    return Object.fromEntries(checks.map((one) => [one.check, one]))
  }

  it('init makes files and pins, no vault and no passphrase, and a second run changes nothing', async () => {
    const first = await init('--apply')
    assert.equal(first.code, 0, first.stderr)
    assert.match(site.read('config/hisho.ini'), /^ca_file=kgc-ca\.pem$/m)
    assert.match(site.read('config/hisho.ini'), /^\[kgc\]$/m)
    assert.ok(site.read('config/hisho.kgc.yaml').includes(keys.record))
    assert.match(site.read('config/hisho.yaml'), /b\.example/)
    for (const name of ['hisho.vault.age', 'hisho.passphrase'])
      assert.ok(!existsSync(site.file(`config/${name}`)), name)
    assert.match(first.text, /b\.example +bf n=1 +[0-9a-f-]{39} +new +published so/)
    const { mtimeMs } = statSync(site.file('config/hisho.ini'))
    const second = await init()
    assert.equal(second.code, 0, second.stderr)
    assert.doesNotMatch(second.text, /^written|^changed/m)
    assert.equal(statSync(site.file('config/hisho.ini')).mtimeMs, mtimeMs)
  })

  it('init shows the fingerprint that the KGC shows', async () => {
    const shown = FINGERPRINT.exec((await init('--apply')).text)?.[0]
    assert.ok(shown)
    assert.match(kgc.output(), new RegExp(`^b\\.example +a=bf n=1 +${shown}$`, 'm'))
    assert.match(kgc.output(), /no master key of c\.example/)
  })

  it('init touches nothing that is there without --apply, and says what to add', async () => {
    const before = site.read('config/hisho.ini')
    const { code, stderr } = await init()
    assert.equal(code, 64)
    assert.match(stderr, /add to its \[kgc\] url=https:.*cert_file=gateway\.pem/)
    assert.equal(site.read('config/hisho.ini'), before)
    assert.ok(!existsSync(site.file('config/hisho.kgc.yaml')))
  })

  it('init writes nothing when the KGC does not answer, or has no keys of the domain', async () => {
    const away = await init('--apply', '--kgc', 'https://127.0.0.1:1')
    assert.equal(away.code, 75)
    assert.match(away.stderr, /^hisho: kgc\/unreachable: https:\/\/127\.0\.0\.1:1: /)
    const without = await init('--apply', '--domain', 'c.example')
    assert.equal(without.code, 69)
    assert.match(without.stderr, /the KGC has no master key of c\.example/)
    const foreign = await init('--apply', '--domain', 'd.example')
    assert.equal(foreign.code, 75)
    assert.match(foreign.stderr, /kgc\/refused: .*on its list for d\.example/)
    assert.ok(!existsSync(site.file('config/hisho.kgc.yaml')))
    assert.doesNotMatch(site.read('config/hisho.ini'), /kgc/)
  })

  it('init wants all its files, and a key that is the certificate’s', async () => {
    const url = `https://127.0.0.1:${kgc.port}`
    assert.equal((await run('init', '--domain', 'b.example', '--kgc', url)).code, 64)
    site.write('other.key', authority.issue('mx.b.example').privateKey, 0o600)
    const other = await init('--apply', '--kgc-key', site.file('other.key'))
    assert.equal(other.code, 64)
    assert.match(other.stderr, /is not the key of --kgc-cert/)
    assert.equal((await init('--apply', '--kgc-key', site.file('none'))).code, 64)
    assert.equal((await init('--apply', '--kgc', 'http://127.0.0.1:1')).code, 78)
  })

  it('decrypt opens with keys of the KGC, and says not now while it is away', async () => {
    await init('--apply')
    const sealed = await site.run(['encrypt', '-r', 'bob@b.example'], { input: CLEAR })
    // Our own domain is not encrypted to: another site does it.
    const other = await openSite()
    other.dns.zone['_ibemailkey.b.example'] = { TXT: keys.records }
    const foreign = await other.run(['encrypt', '-r', 'bob@b.example'], { input: CLEAR })
    await other.close()
    const input = foreign.code === 0 ? foreign.stdout : sealed.stdout
    assert.match(input.toString(), /hisho-encrypted/)
    const decrypt = (): Promise<Result> => site.run(['decrypt', '-r', 'bob@b.example'], { input })
    const opened = await decrypt()
    assert.equal(opened.code, 0, opened.stderr)
    assert.equal(opened.text, CLEAR)
    await kgc.kill()
    const closed = await decrypt()
    assert.deepEqual([closed.code, closed.text], [75, ''])
    await kgc.start()
  })

  it('doctor looks at the KGC in place of the vault', async () => {
    await init('--apply')
    const good = await findings()
    assert.equal(good['keys of b.example']?.status, 'ok', good['keys of b.example']?.found)
    assert.match(good['keys of b.example']?.found ?? '', /bf n=1, cc n=1 as pinned/)
    assert.equal(good['kgc certificate']?.status, 'ok')
    assert.equal(good['kgc key file']?.status, 'ok')
    assert.equal(good['vault'], undefined)

    site.write('config/gateway.key', site.read('config/gateway.key'), 0o644)
    site.write('config/hisho.vault.age', 'a left-over')
    site.dns.zone['_ibemailkey.b.example'] = { TXT: [] }
    const bad = await findings()
    assert.equal(bad['kgc key file']?.status, 'fail')
    assert.equal(bad['vault']?.status, 'warn')
    assert.match(bad['keys of b.example']?.found ?? '', /n=1, the newest, is not published/)

    site.write('config/gateway.pem', authority.issue('mx.b.example', { days: 3 }).certificate)
    assert.match((await findings())['kgc certificate']?.found ?? '', / [23] days$/)
    site.write('config/hisho.kgc.yaml', 'version: 5\n')
    assert.equal((await findings())['kgc pins']?.status, 'fail')
    await kgc.kill()
    assert.equal((await findings())['keys of b.example']?.status, 'fail')
    await kgc.start()
  })

  it('trust shows what has changed and pins it anew, and not unasked', async () => {
    await init('--apply')
    assert.match((await run('kgc', 'trust')).text, /All of it is pinned already/)
    const fresh = await makeSite('b.example')
    const pins = site.read('config/hisho.kgc.yaml')
    site.write('config/hisho.kgc.yaml', pins.replace(keys.record, fresh.record))
    assert.equal((await findings())['keys of b.example']?.status, 'fail')
    assert.equal((await init('--apply')).code, 64)
    const asked = await run('kgc', 'trust')
    assert.equal(asked.code, 64)
    assert.match(asked.text, /bf n=1 .* CHANGED: another one is pinned +published so/)
    assert.match(asked.stderr, /say --yes/)
    assert.ok(site.read('config/hisho.kgc.yaml').includes(fresh.record))
    assert.equal((await run('kgc', 'trust', '--yes')).code, 0)
    assert.equal(site.read('config/hisho.kgc.yaml'), pins)
    site.write('config/hisho.kgc.yaml', pins.replace('n=1;', 'n=5;'))
    assert.match((await run('kgc', 'trust', '--yes')).text, /bf n=5 .* the KGC has it no more/)
    assert.equal(site.read('config/hisho.kgc.yaml'), pins)
  })

  it('commands about master keys say where these are', async () => {
    await init('--apply')
    for (const args of [
      ['vault', 'list'],
      ['kgc', 'list'],
      ['kgc', 'new', '--domain', 'b.example'],
    ]) {
      const { code, stderr } = await run(...args)
      assert.equal(code, 64)
      assert.match(stderr, /the master keys are on the KGC https:\/\/127\.0\.0\.1:/)
    }
    assert.equal((await run('params', 'check', 'b.example')).code, 0)
    assert.equal((await run('kgc', 'serve')).code, 78)
  })

  it('trust needs a KGC', async () => {
    const { code, stderr } = await run('kgc', 'trust')
    assert.equal(code, 64)
    assert.match(stderr, /names no KGC/)
  })
})

describe('hisho kgc serve', { skip: peer('openssl', 'openssl') }, () => {
  it('does not start with settings that are none, and names them', async () => {
    const authority = makeAuthority()
    const own = authority.issue('kgc.test')
    const site = await openSite()
    site.write('config/kgc.pem', own.certificate)
    site.write('config/kgc.key', own.privateKey, 0o600)
    const good = {
      listen: '127.0.0.1:0',
      cert_file: 'kgc.pem',
      key_file: 'kgc.key',
      client_ca_file: 'kgc.pem',
    }
    const cases: readonly [Record<string, string>, string, RegExp][] = [
      [{ listen: 'here' }, 'mx=a.example', /\[main\] listen: must be address:port/],
      [{ listen: '127.0.0.1:99999' }, 'mx=a.example', /\[main\] listen/],
      [{ cert_file: '' }, 'mx=a.example', /\[main\] cert_file: is missing/],
      [{ key_file: 'no' }, 'mx=a.example', /\[main\] key_file: .*\/no cannot be read/],
      [{ window_days: '366' }, 'mx=a.example', /\[main\] window_days: must be 365 at most/],
      [{ clock_skew_minutes: '-1' }, 'mx=a.example', /\[main\] clock_skew_minutes/],
      [{ rate_per_minute: '0' }, 'mx=a.example', /\[main\] rate_per_minute/],
      [{ audit_log: '' }, 'mx=a.example', /\[main\] audit_log: is missing/],
      [{}, '', /\[gateways\] name: no gateway is on the list/],
      [{}, 'mx=', /\[gateways\] mx: has no domains/],
      [{}, 'mx=a..example', /\[gateways\] mx: a\.\.example is no domain/],
    ]
    for (const [change, gateways, message] of cases) {
      const lines = Object.entries({ ...good, ...change }).map(([key, value]) => `${key}=${value}`)
      site.write('config/hisho.kgc.ini', `[main]\n${lines.join('\n')}\n[gateways]\n${gateways}\n`)
      const { code, stderr } = await site.run(['kgc', 'serve'])
      assert.equal(code, 78, stderr)
      assert.match(stderr, message)
    }
    await site.close()
    authority.close()
  })
})
