// The pack as users get it: packed, installed into fresh Haraka directories by the README's own lines, and used.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { assertOpened, assertUntouched } from '../support/arrival.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { freePort, ROOT, startHaraka, type Haraka } from '../support/haraka.ts'
import {
  followInit,
  installHaraka,
  printedRecords,
  readmeCommands,
  registryMissing,
  setUpHaraka,
  shell,
} from '../support/installed-site.ts'
import { PASSWORD, USER } from '../support/site.ts'
import { submit } from '../support/smtp-client.ts'
import { startSink, type SmtpSink } from '../support/smtp-sink.ts'
import { letter } from '../support/world.ts'

interface Site {
  readonly domain: string
  readonly directory: string
  readonly port: number
  readonly mailbox: SmtpSink
  haraka?: Haraka
}

describe("two sites made by the README's lines", { skip: registryMissing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'hisho-pack-'))
  const sites: Site[] = []
  let dns: DnsServer
  let tarball: string
  let packed: string[]

  before(async () => {
    dns = await startDnsServer()
    // What a release would hold; dist/ is there, since these tests run from it.
    const { code, output } = await shell(
      `npm pack --ignore-scripts --silent --json --pack-destination "${folder}"`,
      ROOT,
    )
    assert.equal(code, 0, output)
    const [made] = JSON.parse(output.slice(output.indexOf('['))) as {
      filename: string
      files: { path: string }[]
    }[]
    tarball = join(folder, made!.filename)
    packed = made!.files.map(({ path }) => path)
    const domains = ['a.example', 'b.example']
    const ports = Object.fromEntries(
      await Promise.all(domains.map(async (domain) => [domain, await freePort()] as const)),
    )
    for (const domain of domains) {
      const site = {
        domain,
        directory: await installHaraka(),
        port: ports[domain]!,
        mailbox: await startSink(),
      }
      sites.push(site)
      const routes = Object.fromEntries(Object.entries(ports).filter(([name]) => name !== domain))
      setUpHaraka(site.directory, { domain, mailbox: site.mailbox.port, routes })
    }
  })
  after(async () => {
    await Promise.all(sites.map(async ({ haraka }) => haraka?.stop()))
    await Promise.all([dns?.close(), ...sites.map(({ mailbox }) => mailbox.close())])
    for (const { directory } of sites) rmSync(dirname(directory), { recursive: true, force: true })
    rmSync(folder, { recursive: true, force: true })
  })

  it('the package has what it needs to run and to be read, and nothing of the tests', () => {
    for (const file of [
      'README.md',
      'LICENSE',
      'config/hisho.ini',
      'config/hisho.yaml',
      'encrypt/package.json',
      'encrypt/config/hisho.ini',
      'decrypt/package.json',
      'encrypt_gate/package.json',
      'decrypt_gate/package.json',
      'dist/lib/cli/main.js',
      'dist/plugins/encrypt/index.js',
    ])
      assert.ok(packed.includes(file), file)
    assert.deepEqual(
      packed.filter((file) => /(?:^|\/)(?:test|bench|demo)\/|\.map$|vault\.age$/.test(file)),
      [],
    )
  })

  it('install and init do what they say, and init says all that is left to do', async () => {
    const commands = readmeCommands('Install')
    assert.deepEqual(commands.slice(0, 2), [
      'npm install haraka-plugin-hisho',
      'npx hisho init --domain a.example',
    ])
    for (const { domain, directory } of sites) {
      let output = ''
      for (const command of commands) {
        const line = command
          .replace('haraka-plugin-hisho', `"${tarball}"`)
          .replace('a.example', domain)
        const ran = await shell(line, directory)
        assert.equal(ran.code, 0, `${line}\n${ran.output}`)
        output += ran.output
      }
      const { name, texts } = printedRecords(output)
      assert.equal(name, `_ibemailkey.${domain}`)
      assert.equal(texts.length, 2)
      dns.zone[name] = { TXT: texts }
      const done = followInit(directory, output)
      assert.deepEqual(
        done.map((text) => text.replace(/ (?:before|in) .*/, '')),
        [
          'config/plugins: add the line hisho/decrypt',
          'config/plugins: add the line hisho/verify',
          'config/plugins: add the line hisho/sign',
          'config/plugins: add the line hisho/encrypt',
          'config/plugins: add the line hisho/mta_sts',
          'config/plugins: add the line hisho/tlsrpt',
          'config/connection.ini: set data_line_length=1000000',
        ],
        output,
      )
      assert.equal(statSync(join(directory, 'config', 'hisho.vault.age')).mode & 0o077, 0)
    }
  })

  it('the doctor is content before the first start', async () => {
    for (const { domain, directory } of sites) {
      const ini = join(directory, 'config', 'hisho.ini')
      const text = readFileSync(ini, 'utf8')
      assert.match(text, /^servers=$/m)
      writeFileSync(ini, text.replace(/^servers=$/m, `servers=127.0.0.1:${dns.port}`))
      const { code, output } = await shell('npx hisho doctor', directory)
      assert.equal(code, 0, `${domain}\n${output}`)
    }
  })

  it('both start, with Haraka elsewhere on the disk, and know the plugins', async () => {
    for (const site of sites) {
      assert.ok(!existsSync(join(site.directory, 'node_modules', 'haraka')))
      const { port, directory } = site
      site.haraka = await startHaraka({ port, directory, files: {} })
      await site.haraka.waitForLog(/vault open/)
      assert.match(site.haraka.log(), /loading hisho\/encrypt_gate/)
    }
  })

  it('mail goes encrypted from either to the other, and arrives as it was submitted', async () => {
    const [a, b] = sites as [Site, Site]
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const message = Buffer.from(
        letter('lychee', { From: `x@${from.domain}`, To: `y@${to.domain}` }),
      )
      const reply = await submit({
        port: from.port,
        from: `x@${from.domain}`,
        to: [`y@${to.domain}`],
        message,
        user: USER,
        password: PASSWORD,
      })
      assert.equal(reply.code, 250, reply.text)
      const [delivery] = await to.mailbox.waitFor(1).catch((error: Error) => {
        const logs = [from, to].map(({ haraka }) => haraka?.log().slice(-3000))
        throw new Error(`${error.message}\n${logs.join('\n')}`)
      })
      assertOpened(delivery!.message, message)
    }
  })

  it('mail from elsewhere arrives as before', async () => {
    const [site] = sites as [Site]
    site.mailbox.clear()
    const message = Buffer.from(letter('clear', { From: 'x@c.example', To: 'y@a.example' }))
    const sent = { port: site.port, from: 'x@c.example', to: ['y@a.example'], message }
    const reply = await submit(sent)
    assert.equal(reply.code, 250, `${reply.text}\n${site.haraka?.log().slice(-3000)}`)
    const [delivery] = await site.mailbox.waitFor(1)
    assertUntouched(delivery!.message, message)
  })

  it('the doctor is content while they run, and finds Haraka where it is told to look', async () => {
    for (const { directory } of sites) {
      const where = join(ROOT, 'node_modules', 'haraka')
      const { code, output } = await shell(
        `npx hisho doctor --haraka-package "${where}"`,
        directory,
      )
      assert.equal(code, 0, output)
      assert.match(output, /haraka +3\.3\.\d+ in/)
      assert.match(output, /, 0 to mend/)
    }
  })

  it('init run again changes nothing', async () => {
    for (const { domain, directory } of sites) {
      const vault = readFileSync(join(directory, 'config', 'hisho.vault.age'))
      const { code, output } = await shell(`npx hisho init --domain ${domain}`, directory)
      assert.equal(code, 0, output)
      assert.deepEqual(readFileSync(join(directory, 'config', 'hisho.vault.age')), vault)
      assert.doesNotMatch(output, /^(?:written|changed) |Change in Haraka/m)
      assert.deepEqual(printedRecords(output).texts, dns.zone[`_ibemailkey.${domain}`]?.TXT)
    }
  })
})
