import assert from 'node:assert/strict'
import { chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parseParameters } from '../../lib/ibe/parameters.ts'
import { peer } from '../support/peers.ts'
import { execFileSync } from 'node:child_process'
import { AGE_KEY, hisho, openSite } from './site.ts'

function harakaDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'hisho-init-'))
  mkdirSync(join(path, 'config'))
  return path
}

function snapshot(path: string): Record<string, string> {
  const folder = join(path, 'config')
  return Object.fromEntries(
    readdirSync(folder).map((name) => {
      const { mode, mtimeMs, ino } = statSync(join(folder, name))
      const bytes = readFileSync(join(folder, name)).toString('base64')
      return [name, `${mode} ${mtimeMs} ${ino} ${bytes}`]
    }),
  )
}

const instructions = (text: string): string => text.slice(text.indexOf('Publish'))

describe('hisho init in an empty directory', () => {
  it('lays files, vault and passphrase, and a second run changes nothing and says the same', async () => {
    const path = harakaDirectory()
    const first = await hisho(['init', '--domain', 'A.example'], { cwd: path })
    assert.equal(first.code, 0, first.stderr)
    const before = snapshot(path)
    assert.deepEqual(Object.keys(before).sort(), [
      'hisho.decrypt.ini',
      'hisho.encrypt.ini',
      'hisho.ini',
      'hisho.mta_sts.ini',
      'hisho.passphrase',
      'hisho.sign.ini',
      'hisho.tlsrpt.ini',
      'hisho.vault.age',
      'hisho.verify.ini',
      'hisho.yaml',
    ])
    for (const secret of ['hisho.passphrase', 'hisho.vault.age'])
      assert.equal(statSync(join(path, 'config', secret)).mode & 0o777, 0o600)
    const ini = readFileSync(join(path, 'config', 'hisho.ini'), 'utf8')
    assert.match(ini, /^passphrase_file=hisho\.passphrase$/m)
    assert.match(
      readFileSync(join(path, 'config', 'hisho.yaml'), 'utf8'),
      /local: \[ a\.example \]/,
    )
    const [, record = ''] =
      /^ {2}_ibemailkey\.a\.example\. 3600 IN TXT "([^"]+)"$/m.exec(first.text) ?? []
    assert.equal(parseParameters(record)?.n, 1)
    assert.match(first.text, /data_line_length=1000000/)
    assert.match(first.text, /systemd credential/)
    const passphrase = readFileSync(join(path, 'config', 'hisho.passphrase'), 'utf8').trim()
    assert.ok(passphrase.length >= 32)
    assert.ok(!first.text.includes(passphrase) && !first.stderr.includes(passphrase))

    const second = await hisho(['init', '--domain', 'a.example'], { env: { HARAKA: path } })
    assert.equal(second.code, 0, second.stderr)
    assert.deepEqual(snapshot(path), before)
    assert.equal(instructions(second.text), instructions(first.text))
    assert.doesNotMatch(second.text, /^written|^changed/m)
  })

  it('is refused where there is no config/', async () => {
    const { code, stderr } = await hisho(['init', '--domain', 'a.example', '--haraka', '/'])
    assert.equal(code, 64)
    assert.match(stderr, /^hisho: cli\/usage: .*no config\//)
  })

  it('wants a domain that is one', async () => {
    assert.equal((await hisho(['init', '--haraka', '/'])).code, 64)
    assert.equal((await hisho(['init', '--domain', 'a b', '--haraka', '/'])).code, 64)
  })

  it(
    'run by root, gives what it makes to the owner of config/',
    { skip: process.getuid?.() === 0 ? false : 'needs root' },
    async () => {
      const path = harakaDirectory()
      chownSync(join(path, 'config'), 12_345, 12_346)
      const env = { HISHO_PASSPHRASE: AGE_KEY }
      await hisho(['init', '--domain', 'a.example'], { cwd: path, env })
      for (const name of readdirSync(join(path, 'config'))) {
        const { uid, gid } = statSync(join(path, 'config', name))
        assert.deepEqual({ name, uid, gid }, { name, uid: 12_345, gid: 12_346 })
      }
    },
  )
})

const PLUGINS = `# my plugins
access
dkim
spf

# content
clamd
rspamd
# queue
queue/smtp_forward
`

describe('hisho init beside files that are there', () => {
  it('touches none of them, and says which lines are missing where', async () => {
    const site = await openSite()
    site.write('config/plugins', PLUGINS)
    site.write('config/connection.ini', '; mine\n[max]\nbytes=1000000\ndata_line_length=992\n')
    site.write('config/hisho.encrypt.ini', '[main]\nenabled=true\n')
    site.write('config/hisho.yaml', 'local: [a.example] # ours\n')
    const before = snapshot(site.path)
    const { code, text, stderr } = await site.run(['init', '--domain', 'a.example'])
    assert.equal(code, 0, stderr)
    const after = snapshot(site.path)
    for (const name of Object.keys(before)) assert.equal(after[name], before[name], name)
    assert.match(text, /^kept +config\/hisho\.ini$/m)
    assert.match(text, /add the line hisho\/decrypt before clamd/)
    assert.match(text, /add the line hisho\/encrypt before queue\/smtp_forward/)
    assert.match(text, /bytes=1000000 .* up to 0 MB/)
    await site.close()
  })

  it('says how reports on TLS and metrics are switched on, as long as they are not', async () => {
    const site = await openSite()
    site.write('config/plugins', PLUGINS)
    const first = await site.run(['init', '--domain', 'a.example'])
    assert.match(first.text, /add the line hisho\/tlsrpt before queue\/smtp_forward/)
    assert.match(first.text, /^ {2}- hisho\/tlsrpt counts .* hisho\.tlsrpt\.ini has from=/m)
    assert.match(first.text, /^ {2}- for Prometheus: the line hisho\/metrics .* http\.ini/m)
    site.write('config/plugins', `${PLUGINS}haraka-plugin-hisho/metrics\n`)
    site.write('config/hisho.tlsrpt.ini', '[report]\nfrom=tls@a.example\n')
    const { text } = await site.run(['init', '--domain', 'a.example', '--apply'])
    assert.match(text, /^kept +config\/hisho\.tlsrpt\.ini$/m)
    assert.match(site.read('config/plugins'), /^hisho\/mta_sts\nhisho\/tlsrpt\nqueue/m)
    assert.doesNotMatch(text, /tlsrpt counts|Prometheus/)
    await site.close()
  })

  it('adds a domain to the table and a key to the vault, and comments stay', async () => {
    const site = await openSite()
    site.write('config/hisho.yaml', '# top\nlocal:\n  - a.example # first\n# rules\ndomains: {}\n')
    await site.run(['init', '--domain', 'a.example', '--period', 'day'])
    const { text } = await site.run(['init', '--domain', 'a.example', '--domain', 'b.example'])
    assert.match(text, /_ibemailkey\.a\.example\. .* p=day;/)
    assert.match(text, /_ibemailkey\.b\.example\. .* p=month;/)
    assert.equal(
      site.read('config/hisho.yaml'),
      '# top\nlocal:\n  - a.example # first\n  - b.example\n# rules\ndomains: {}\n',
    )
    await site.close()
  })

  it('does not go on without a passphrase that Haraka would find', async () => {
    const site = await openSite()
    const before = snapshot(site.path)
    const run = await site.run(['init', '--domain', 'a.example'], { env: { HISHO_PASSPHRASE: '' } })
    assert.equal(run.code, 64)
    assert.match(run.stderr, /passphrase_file=hisho\.passphrase/)
    assert.deepEqual(snapshot(site.path), before)
    await site.close()
  })

  it('with --apply makes the changes, and nothing else in the files moves', async () => {
    const site = await openSite()
    site.write('config/plugins', PLUGINS)
    site.write('config/connection.ini', '; mine\r\n[max]\r\nbytes=5\r\n\r\n[uuid]\r\nx=1\r\n')
    const { code, stderr } = await site.run(['init', '--domain', 'a.example', '--apply'])
    assert.equal(code, 0, stderr)
    assert.equal(
      site.read('config/plugins'),
      PLUGINS.replace('clamd\n', 'hisho/decrypt\nhisho/verify\nclamd\n').replace(
        'queue/',
        'hisho/sign\nhisho/encrypt\nhisho/mta_sts\nhisho/tlsrpt\nqueue/',
      ),
    )
    assert.equal(
      site.read('config/connection.ini'),
      '; mine\r\n[max]\r\ndata_line_length=1000000\r\nbytes=5\r\n\r\n[uuid]\r\nx=1\r\n',
    )
    const again = await site.run(['init', '--domain', 'a.example'])
    assert.doesNotMatch(again.text, /Change/)
    await site.close()
  })

  it("makes a vault that Debian's age opens", { skip: peer('age', 'age') }, async () => {
    const site = await openSite()
    await site.run(['init', '--domain', 'a.example'])
    site.write('key', `${AGE_KEY}\n`, 0o600)
    const yaml = execFileSync('age', [
      '-d',
      '-i',
      site.file('key'),
      site.file('config/hisho.vault.age'),
    ])
    assert.match(yaml.toString(), /a\.example:\n +ibe:/)
    await site.close()
  })
})
