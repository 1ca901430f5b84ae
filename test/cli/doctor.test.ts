import assert from 'node:assert/strict'
import { chmodSync, chownSync, rmSync, utimesSync } from 'node:fs'
import { after, before, beforeEach, describe, it } from 'node:test'
import { redisMissing, startRedis } from '../support/redis-server.ts'
import { AGE_KEY, openReadySite, openSite, type RunOptions, type Site } from './site.ts'

interface Report {
  readonly haraka: string
  readonly ok: number
  readonly warn: number
  readonly fail: number
  readonly checks: readonly {
    readonly check: string
    readonly status: 'ok' | 'warn' | 'fail'
    readonly found: string
    readonly advice?: string
  }[]
}

async function examine(
  site: Site,
  options?: RunOptions,
): Promise<Report & { code: number | null }> {
  const { code, text, stderr } = await site.run(['doctor', '--json'], options)
  assert.equal(stderr, '')
  return { code, ...(JSON.parse(text) as Report) }
}

/** The checks that are not ok: name and status, and those of `only` if they are. */
function bad({ checks }: Report): Record<string, string> {
  const of = (wanted: string) => checks.filter(({ status }) => status === wanted)
  return Object.fromEntries(
    [...of('warn'), ...of('fail')].map(({ check, status }) => [check, status]),
  )
}

describe('hisho doctor', () => {
  let site: Site
  let ini: string
  let table: string
  before(async () => {
    site = await openReadySite('a.example')
    ini = site.read('config/hisho.ini')
    table = site.read('config/hisho.yaml')
  })
  after(() => site.close())

  const healthy = (): void => {
    site.write('config/plugins', 'dkim\nhisho/decrypt\nclamd\nhisho/encrypt\nqueue/smtp_forward\n')
    site.write('config/connection.ini', '[max]\nbytes=26214400\ndata_line_length=1000000\n')
    site.write('config/plugin_timeout', '30\n')
    site.write('config/hisho/encrypt.timeout', '30\n')
    site.write('config/smtp.ini', '[main]\n')
    site.write('config/hisho.ini', ini)
    site.write('config/hisho.encrypt.ini', '[main]\nenabled=true\n')
    site.write('config/hisho.yaml', table)
    chmodSync(site.file('config/hisho.vault.age'), 0o600)
    site.write('node_modules/haraka/package.json', '{"version":"3.3.4"}')
    site.write('node_modules/haraka-plugin-hisho/package.json', '{"version":"0.1.0"}')
    site.write('node_modules/haraka-plugin-hisho/encrypt/package.json', '{}')
  }
  beforeEach(healthy)

  it('finds nothing to mend where all is well', async () => {
    const report = await examine(site)
    assert.deepEqual(bad(report), {})
    assert.equal(report.code, 0)
    assert.equal(report.haraka, site.path)
    assert.deepEqual([report.warn, report.fail, report.ok], [0, 0, report.checks.length])
    assert.deepEqual(
      report.checks.map(({ check }) => check),
      [
        'haraka',
        'package',
        'plugins',
        'plugin order',
        'line length',
        'auth results',
        'message size',
        'hisho.ini',
        'hisho.encrypt.ini',
        'hisho.decrypt.ini',
        'hisho.sign.ini',
        'hisho.verify.ini',
        'hisho.mta_sts.ini',
        'hisho.dane.ini',
        'hisho.well_known.ini',
        'hisho.tlsrpt.ini',
        'hisho.metrics.ini',
        'timeout of hisho/decrypt',
        'timeout of hisho/encrypt',
        'table',
        'vault file',
        'vault',
        'store',
        'held mail',
        'clock',
        'dns',
        'record of a.example',
        'redis',
      ],
    )
  })

  it('prints a table with what to do, and without colours into a pipe', async () => {
    site.write('config/plugins', 'hisho/encrypt\n')
    const { code, text } = await site.run(['doctor'])
    assert.equal(code, 1)
    assert.match(text, /^fail {2}plugins +not in config\/plugins: hisho\/decrypt$/m)
    assert.match(text, /^ +-> hisho init says where$/m)
    assert.match(text, /^27 ok, 0 to look at, 1 to mend$/m)
    assert.ok(!text.includes('\u001B'))
  })

  const outbound = async () =>
    (await examine(site)).checks
      .filter(({ check }) => /outbound tls|dnssec|policy of/.test(check))
      .map(({ check, status, found }) => `${status} ${check}: ${found}`)

  it('sees a floor that nobody keeps, and a way that nobody looks at', async () => {
    site.write(
      'config/hisho.yaml',
      'local: [a.example]\ndomains:\n  b.example: { floor: either }\n  c.example: { transport: verify }\n',
    )
    assert.deepEqual(await outbound(), [
      'fail outbound tls: the floor of b.example is either: mail to it is held back, for nobody keeps it',
      'warn outbound tls: transport: verify of c.example is without effect',
    ])
    site.write('config/plugins', 'hisho/decrypt\nhisho/encrypt\nhisho/mta_sts\n')
    assert.deepEqual(await outbound(), ['ok outbound tls: hisho/mta_sts'])
    site.write('config/outbound.ini', 'enable_tls=false\n')
    assert.deepEqual(await outbound(), [
      'fail outbound tls: outbound.ini enable_tls=false: hisho does not start',
    ])
    site.write('config/outbound.ini', '')
  })

  it('asks whether the resolver validates, where there is DANE', async () => {
    site.write('config/plugins', 'hisho/mta_sts\nhisho/dane\n')
    site.write('config/hisho.dane.ini', 'probe=a.example\n')
    assert.deepEqual(await outbound(), [
      'ok outbound tls: hisho/mta_sts, hisho/dane',
      'fail dnssec: the resolver does not validate DNSSEC: DANE is off',
    ])
    site.dns.zone['a.example'] = { TXT: ['signed'], authentic: true }
    assert.equal((await outbound())[1], 'ok dnssec: the resolver validates: DANE is on')
    delete site.dns.zone['a.example']
    rmSync(site.file('config/hisho.dane.ini'))
  })

  it('compares the policy that is served with the record that says so', async () => {
    site.write(
      'config/hisho.yaml',
      'local: [a.example]\nmta_sts: { a.example: { mode: testing, mx: [mx.a.example] } }\n',
    )
    assert.match((await outbound())[0] ?? '', /^warn policy of a\.example: _mta-sts\.a\.example: /)
    const { text } = await site.run(['mta-sts', 'show', 'a.example', '--json'])
    const { record, id } = JSON.parse(text) as { readonly record: string; readonly id: string }
    site.dns.zone['_mta-sts.a.example'] = { TXT: [record] }
    assert.deepEqual(await outbound(), [`ok policy of a.example: testing, id ${id}`])
    site.dns.zone['_mta-sts.a.example'] = { TXT: ['v=STSv1; id=old'] }
    assert.match((await outbound())[0] ?? '', /^fail policy of a\.example: DNS has the id old/)
    delete site.dns.zone['_mta-sts.a.example']
  })

  it("sees what is wrong in Haraka's settings", async () => {
    site.write('config/plugins', 'clamd\nhisho/decrypt\ndkim\nqueue/smtp_forward\n')
    site.write(
      'config/connection.ini',
      '[max]\nbytes=5000000\ndata_line_length=992\n[headers]\nclean_auth_results=false\n',
    )
    site.write('config/plugin_timeout', '0\n')
    site.write('config/hisho/encrypt.timeout', '2\n')
    site.write('node_modules/haraka/package.json', '{"version":"3.4.0"}')
    site.write('node_modules/haraka-plugin-hisho/package.json', '{"version":"0.0.1"}')
    const report = await examine(site)
    assert.equal(report.code, 1)
    assert.deepEqual(bad(report), {
      haraka: 'fail',
      package: 'warn',
      plugins: 'fail',
      'plugin order': 'fail',
      'line length': 'fail',
      'auth results': 'warn',
      'message size': 'warn',
      'timeout of hisho/decrypt': 'warn',
      'timeout of hisho/encrypt': 'warn',
    })
    const order = report.checks.find(({ check }) => check === 'plugin order')
    assert.match(order!.found, /dkim must stand before .*clamd must stand after/)
  })

  it('sees that ibemail.txt is served nowhere', async () => {
    site.write('config/plugins', `${site.read('config/plugins')}hisho/well_known\n`)
    assert.deepEqual(bad(await examine(site)), { http: 'warn' })
    site.write('config/http.ini', 'listen=127.0.0.1:8080\n')
    const report = await examine(site)
    rmSync(site.file('config/http.ini'))
    assert.deepEqual(bad(report), {})
    assert.equal(
      report.checks.find(({ check }) => check === 'http')?.found,
      'listen=127.0.0.1:8080',
    )
  })

  it('warns of a Haraka that it cannot find, and looks where it is told', async () => {
    const path = site.file('node_modules/haraka')
    const told = await site.run(['doctor', '--json', '--haraka-package', path])
    assert.match(told.text, /3\.3\.4 in/)
    const nowhere = await site.run(['doctor', '--json', '--haraka-package', site.file('nowhere')])
    assert.equal(nowhere.code, 0)
    assert.equal(bad(JSON.parse(nowhere.text) as Report)['haraka'], 'warn')
    rmSync(site.file('node_modules/haraka-plugin-hisho'), { recursive: true })
    assert.deepEqual(bad(await examine(site)), { package: 'warn' })
  })

  it('sees bad ini files, keys that do not exist and a password that others may read', async () => {
    site.write('config/hisho.encrypt.ini', '[main]\nenabled=perhaps\n')
    site.write('config/hisho.decrypt.ini', '[main]\nenable=true\nwhat is this\n')
    site.write('config/hisho.ini', `${ini}[redis]\npassword=hunter2\n`)
    const report = await examine(site)
    assert.deepEqual(bad(report), {
      'hisho.ini': 'warn',
      'hisho.encrypt.ini': 'fail',
      'hisho.decrypt.ini': 'warn',
    })
    assert.match(JSON.stringify(report), /no such key: \[main\] enable; line 3 is no key=value/)
    assert.ok(!JSON.stringify(report).includes('hunter2'))
    site.write('config/hisho.ini', '[dns]\ntries=0\n')
    site.write('config/hisho.decrypt.ini', '[main]\nenabled=true\n')
    const broken = await examine(site)
    assert.deepEqual(
      [broken.code, bad(broken)['hisho.ini'], bad(broken)['all else']],
      [1, 'fail', 'fail'],
    )
  })

  it('sees a bad table, an empty one, and required domains that have no key', async () => {
    site.write('config/hisho.yaml', 'local: []\n')
    assert.deepEqual(bad(await examine(site)), { table: 'warn' })
    site.write('config/hisho.yaml', 'locals: []\n')
    assert.deepEqual(bad(await examine(site)), { table: 'fail' })
    site.dns.zone['_ibemailkey.good.example'] = site.dns.zone['_ibemailkey.a.example']!
    const required = '{ encrypt: required }'
    site.write(
      'config/hisho.yaml',
      `local: [a.example]\ndomains: { good.example: ${required}, none.example: ${required}, '*': ${required} }\n`,
    )
    const report = await examine(site)
    assert.deepEqual(bad(report), { 'required: none.example': 'fail' })
    assert.ok(report.checks.some(({ check, status }) => check.includes('good') && status === 'ok'))
  })

  it('sees a vault that others may read, that does not open, or that has no passphrase here', async () => {
    chmodSync(site.file('config/hisho.vault.age'), 0o640)
    assert.deepEqual(bad(await examine(site)), { 'vault file': 'fail' })
    chmodSync(site.file('config/hisho.vault.age'), 0o600)
    const unopened = { 'record of a.example': 'warn' }
    const wrong = AGE_KEY.replace('AGE-SECRET-KEY-1', 'no-key')
    assert.deepEqual(bad(await examine(site, { env: { HISHO_PASSPHRASE: wrong } })), {
      vault: 'fail',
      ...unopened,
    })
    const none = await examine(site, { env: { HISHO_PASSPHRASE: '' } })
    assert.deepEqual([none.code, bad(none)], [0, { vault: 'warn', ...unopened }])
  })

  it('sees a passphrase file that others may read, or that is gone', async () => {
    site.write('config/secret', `${AGE_KEY}\n`, 0o600)
    site.write('config/hisho.ini', `[main]\npassphrase_file=secret\n${ini}`)
    assert.deepEqual(bad(await examine(site)), {})
    chmodSync(site.file('config/secret'), 0o644)
    const unopened = { vault: 'fail', 'record of a.example': 'warn', 'passphrase file': 'fail' }
    assert.deepEqual(bad(await examine(site)), unopened)
    rmSync(site.file('config/secret'))
    assert.deepEqual(bad(await examine(site)), unopened)
  })

  it(
    'sees a vault of another user than Haraka runs as',
    { skip: process.getuid?.() === 0 ? false : 'needs root' },
    async () => {
      const vault = site.file('config/hisho.vault.age')
      chownSync(vault, 12_345, 0)
      assert.deepEqual(bad(await examine(site)), { 'vault file': 'warn' })
      site.write('config/smtp.ini', '[main]\nuser=12345\n')
      rmSync(site.file('config/hisho.store'), { recursive: true, force: true })
      assert.deepEqual(bad(await examine(site)), {})
      chownSync(vault, 0, 0)
    },
  )

  it('sees files from the future', async () => {
    const later = new Date(Date.now() + 86_400_000)
    utimesSync(site.file('config/hisho.yaml'), later, later)
    assert.deepEqual(bad(await examine(site)), { clock: 'fail' })
  })

  it('sees what is published wrongly, and a DNS that does not answer', async () => {
    const { zone } = site.dns
    const entry = zone['_ibemailkey.a.example']!
    const failing = { 'record of a.example': 'fail' }
    const [bf, cc] = entry.TXT as readonly [string, string]
    zone['_ibemailkey.a.example'] = {}
    assert.deepEqual(bad(await examine(site)), failing)
    zone['_ibemailkey.a.example'] = { TXT: ['ver=2.0; a=bf'] }
    assert.deepEqual(bad(await examine(site)), failing)
    zone['_ibemailkey.a.example'] = { TXT: [bf.replace('n=1;', 'n=2;'), cc] }
    assert.deepEqual(bad(await examine(site)), failing)
    zone['_ibemailkey.a.example'] = { TXT: [bf.replace('month', 'day'), cc] }
    assert.deepEqual(bad(await examine(site)), { 'record of a.example': 'warn' })
    zone['_ibemailkey.a.example'] = { misbehave: 'drop' }
    assert.deepEqual(bad(await examine(site)), { dns: 'fail', ...failing })
    zone['_ibemailkey.a.example'] = entry
  })

  it('sees a local domain without keys', async () => {
    site.write('config/hisho.yaml', 'local: [a.example, new.example]\n')
    assert.deepEqual(bad(await examine(site)), { 'record of new.example': 'warn' })
  })

  it('stores and fetches in Redis, and sees when it is gone', { skip: redisMissing }, async (t) => {
    const redis = await startRedis()
    t.after(() => redis.close())
    site.write('config/hisho.ini', `${ini}[redis]\nurl=redis://127.0.0.1:${redis.port}/0\n`)
    const report = await examine(site)
    assert.deepEqual(bad(report), {})
    assert.match(JSON.stringify(report), /stores and gives back/)
    assert.equal(await redis.cli('dbsize'), '0')
    await redis.kill()
    const gone = await examine(site)
    assert.deepEqual([gone.code, bad(gone)], [1, { redis: 'fail' }])
  })

  it('says what has waited for a key for more than a day', async () => {
    healthy()
    const mail = {
      id: '20260101-0a1b2c3d',
      since: '2026-01-01T00:00:00.000Z',
      sender: 'alice@a.example',
      recipients: ['x@c.example'],
      reason: 'there is no key for c.example (ibe)',
      sizeBytes: 1,
      notes: {},
      isAnnounced: true,
    }
    site.write(`config/hisho.held/${mail.id}.json`, JSON.stringify(mail), 0o600)
    chmodSync(site.file('config/hisho.held'), 0o700)
    const found = await examine(site)
    const { found: text = '', advice } =
      found.checks.find(({ check }) => check === 'held mail') ?? {}
    assert.match(text, /^1 for more than a day, the first since 2026-01-01.*no key for c\.example/)
    assert.match(advice ?? '', /hisho held list/)
    chmodSync(site.file('config/hisho.held'), 0o755)
    assert.equal(bad(await examine(site))['held mail'], 'warn')
    rmSync(site.file('config/hisho.held'), { recursive: true })
  })
})

it('hisho doctor in a directory where nothing is yet says what to do first', async () => {
  const site = await openSite()
  const report = await examine(site)
  assert.equal(report.code, 1)
  const { table, vault, plugins } = bad(report)
  assert.deepEqual([table, vault, plugins], ['fail', 'fail', 'fail'])
  await site.close()
})
