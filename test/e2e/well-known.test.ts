// ibemail.txt through the HTTP listener of a real Haraka, by names that are right, wrong and forged.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parseParameters } from '../../lib/ibe/parameters.ts'
import {
  entriesOf,
  withEntry,
  withMasterKey,
  type VaultContents,
} from '../../lib/vault/contents.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { webPlacesOf } from '../../lib/key-directory/names.ts'
import { collect } from '../../lib/mail/message.ts'
import { withMailKey } from '../../lib/vault/mail-keys.ts'
import { formatPem } from '../../lib/x509/pem.ts'
import { hisho } from '../cli/site.ts'
import { newKey, startPool, type TestKey } from '../openpgp/world.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { freePort, startHaraka, type Files, type Haraka } from '../support/haraka.ts'
import { peer } from '../support/peers.ts'
import { makeSite, siteEnvironment, siteFiles, vaultBytes, type SiteKeys } from '../support/site.ts'

const PLUGINS = ['rcpt_to.in_host_list', 'hisho/decrypt', 'hisho/well_known', 'queue/smtp_forward']

interface Answer {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** To the byte, as no client library would send it. */
function exchange(port: number, request: string): Promise<Answer> {
  const socket = connect(port, '127.0.0.1')
  const pieces: Buffer[] = []
  socket.on('data', (piece) => pieces.push(piece))
  socket.write(request)
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => {
      const text = Buffer.concat(pieces).toString('utf8')
      const at = text.indexOf('\r\n\r\n')
      const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? []
      resolve({ status: Number(status), head: text.slice(0, at), body: text.slice(at + 4) })
    })
  })
}

function requestOf(
  hosts: readonly string[],
  { method = 'GET', target = '/.well-known/ibemail.txt', more = '' } = {},
): string {
  const fields = hosts.map((host) => `Host: ${host}\r\n`).join('')
  return `${method} ${target} HTTP/1.1\r\n${fields}${more}Connection: close\r\n\r\n`
}

interface Response {
  readonly status: number | undefined
  readonly type: string | undefined
  readonly body: Buffer
}

async function httpGet(port: number, host: string, path: string): Promise<Response> {
  const asking = get({ host: '127.0.0.1', port, path, headers: { Host: `${host}:80` } })
  const [response] = (await once(asking, 'response')) as [IncomingMessage]
  const body = Buffer.from(await collect(response))
  return { status: response.statusCode, type: response.headers['content-type'], body }
}

function asPem(list: Uint8Array): string {
  return formatPem('X509 CRL', list)
}

describe('a Haraka with hisho/well_known', () => {
  let dns: DnsServer
  let keys: SiteKeys
  let port = 0
  let haraka: Haraka
  let contents: VaultContents
  let alice: TestKey

  const start = async (httpPort: number, files: Files = {}): Promise<Haraka> => {
    const started = await startHaraka({
      environment: siteEnvironment(keys),
      files: siteFiles({
        domain: 'a.example',
        keys,
        dnsPort: dns.port,
        mailbox: 1,
        routes: {},
        plugins: PLUGINS,
        files: {
          'config/http.ini': `listen=127.0.0.1:${httpPort}\n`,
          'config/hisho.yaml': 'local: [a.example, empty.example]\ndomains: {}\n',
          ...files,
        },
      }),
    })
    await started.waitForLog(new RegExp(`Listening on 127\\.0\\.0\\.1:${httpPort}`))
    return started
  }
  const setVault = async (changed: VaultContents): Promise<void> => {
    contents = changed
    const file = join(haraka.directory, 'config', 'hisho.vault.age')
    writeFileSync(file, await vaultBytes(contents, keys.passphrase))
  }
  const ask = (
    host = 'ibemail.a.example',
    options: Parameters<typeof requestOf>[1] = {},
  ): Promise<Answer> => exchange(port, requestOf([host], options))

  /** The vault is looked at now and then. */
  async function askUntil(good: (answer: Answer) => boolean): Promise<Answer> {
    const startedAt = Date.now()
    for (;;) {
      const answer = await ask()
      if (good(answer)) return answer
      if (Date.now() - startedAt > 20_000) assert.fail(`${answer.head}\n\n${answer.body}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** What the operator is told that the domain publishes. */
  async function recordsInShow(): Promise<readonly string[]> {
    const { text } = await hisho(
      ['--haraka', haraka.directory, 'params', 'show', 'a.example', '--json'],
      { env: siteEnvironment(keys) },
    )
    return (JSON.parse(text) as { vault: string[] }).vault
  }

  before(async () => {
    require.resolve('express') // which Haraka loads by itself, and is silent about without
    keys = await makeSite('a.example')
    dns = await startDnsServer({})
    port = await freePort()
    // Keys of a domain that is not local stand in the vault too.
    const entry = entriesOf(keys.contents, 'a.example', 'bf')[0]!
    contents = withMasterKey(keys.contents, 'foreign.example', entry)
    const pool = startPool()
    alice = await newKey(pool, 'alice@a.example')
    await pool.close()
    contents = withMailKey(contents, 'a.example', 'openpgp', {
      id: alice.fingerprint,
      user: 'alice',
      secret: new SecretBytes(alice.secret),
      certificates: [],
      created: '2026-11-22T00:00:00.000Z',
    })
    haraka = await start(port, {
      'config/hisho.vault.age': await vaultBytes(contents, keys.passphrase),
    })
  })
  after(async () => {
    await haraka?.stop()
    await dns?.close()
  })

  it('serves all that a domain publishes, a record a line', async () => {
    const { status, head, body } = await ask()
    assert.equal(status, 200)
    assert.equal(body, keys.records.map((record) => `${record}\n`).join(''))
    assert.deepEqual(body.trimEnd().split('\n'), await recordsInShow())
    assert.match(head, /^content-type: text\/plain; charset=utf-8\r?$/im)
    assert.match(head, /^cache-control: max-age=3600\r?$/im)
    assert.match(head, /^etag: "[\w-]{43}"\r?$/im)
    assert.deepEqual(
      body
        .trimEnd()
        .split('\n')
        .map((line) => parseParameters(line)?.scheme),
      ['bf', 'cc'],
    )
  })

  it('serves the OpenPGP certificate of a user, for those who look in the Web Key Directory', async () => {
    const { host, path } = webPlacesOf('alice@a.example').advanced
    const { status, head } = await ask(host, { target: path })
    assert.equal(status, 200)
    assert.match(head, /^content-type: application\/octet-stream\r?$/im)
    const hash = createHash('sha256').update(alice.certificate).digest('base64url')
    assert.ok(head.includes(`ETag: "${hash}"`), head)
    assert.equal((await ask('b.example', { target: path })).status, 404)
  })

  it('to HEAD it says the same without the text', async () => {
    const [whole, head] = [await ask(), await ask(undefined, { method: 'HEAD' })]
    const fields = (text: string): string => text.replace(/^Date: .*$/m, '')
    assert.equal(fields(head.head), fields(whole.head))
    assert.equal(head.body, '')
  })

  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PROPFIND']) {
    it(`${method} is not allowed`, async () => {
      const { status, head, body } = await ask(undefined, { method, more: 'Content-Length: 0\r\n' })
      assert.equal(status, 405)
      assert.match(head, /^allow: GET, HEAD\r?$/im)
      assert.doesNotMatch(body, /ver=/)
    })
  }

  for (const host of [
    'ibemail.a.example:443',
    'ibemail.a.example:',
    'IBEmail.A.EXAMPLE',
    'ibemail.a.example.',
    'ibemail.a.example.:8443',
  ]) {
    it(`${host} is a name of the domain`, async () => {
      assert.equal((await ask(host)).body, (await ask()).body)
    })
  }

  for (const host of [
    'a.example',
    'mx.a.example',
    'ibemail.b.example',
    'ibemail.foreign.example',
    'ibemail.empty.example',
    'ibemail.example',
    'ibemail.',
    'ibemail',
    '.a.example',
    'ibemail..a.example',
    'ibemail.a.example..',
    'ibemail.ibemail.a.example',
    'x.ibemail.a.example',
    'xibemail.a.example',
    'ibemail.a.example@b.example',
    'b.example@ibemail.a.example',
    'ibemail.a.example, b.example',
    'ibemail.a.example/x',
    'ibemail.%61.example',
    'ibemail.a.example:x',
    'ibemail.../a.example',
    '127.0.0.1',
    '[::1]',
    '',
  ]) {
    it(`${JSON.stringify(host)} is none: 404`, async () => {
      const { status, body } = await ask(host)
      assert.equal(status, 404)
      assert.equal(body, 'not found\n')
    })
  }

  it('a second Host, and none at all, is refused', async () => {
    const [ours, other] = ['ibemail.a.example', 'ibemail.b.example']
    for (const hosts of [[ours, other], [other, ours], [ours, ours], []]) {
      const { status, body } = await exchange(port, requestOf(hosts))
      assert.equal(status, 400, hosts.join())
      assert.doesNotMatch(body, /ver=/)
    }
  })

  it('in a target of absolute form its host counts, and the field does not', async () => {
    const target = (host: string): string => `http://${host}/.well-known/ibemail.txt`
    const good = await ask('ibemail.b.example', { target: target('ibemail.a.example:80') })
    assert.equal(good.body, (await ask()).body)
    const bad = await ask('ibemail.a.example', { target: target('ibemail.b.example') })
    assert.equal(bad.status, 404)
    const user = await ask('ibemail.a.example', { target: target('ibemail.a.example@b.example') })
    assert.equal(user.status, 404)
  })

  it('X-Forwarded-Host counts for nothing', async () => {
    const more = 'X-Forwarded-Host: ibemail.b.example\r\n'
    assert.equal((await ask(undefined, { more })).status, 200)
    const forged = 'X-Forwarded-Host: ibemail.a.example\r\n'
    assert.equal((await ask('ibemail.b.example', { more: forged })).status, 404)
  })

  for (const target of [
    '/',
    '/.well-known/',
    '/.well-known/ibemail.txt/',
    '/.well-known/ibemail.txt?x=1',
    '/.WELL-KNOWN/IBEMAIL.TXT',
    '/config/hisho.vault.age',
    '/.well-known/../config/hisho.vault.age',
    '/.well-known/ibemail.txt/../../config/hisho.yaml',
  ]) {
    it(`${target} is left to Haraka, which has no such file`, async () => {
      const { status, body } = await ask(undefined, { target })
      assert.ok(status === 404 || (target === '/' && status === 200), `${status}`)
      assert.doesNotMatch(body, /ver=|age-encryption|local:/)
    })
  }

  it('a new generation appears, signed by the older one, and a withdrawn one goes', async () => {
    const older = await ask()
    const { contents: next } = await makeSite('a.example', { n: 2 })
    await setVault(
      next
        .get('a.example')!
        .ibe.reduce((all, entry) => withMasterKey(all, 'a.example', entry), contents),
    )
    const both = await askUntil(({ body }) => body !== older.body)
    const lines = both.body.trimEnd().split('\n')
    assert.deepEqual(lines, await recordsInShow())
    assert.deepEqual(
      lines.map((line) => {
        const parameters = parseParameters(line)
        const signers = parameters?.version === '2.0' ? parameters.signatures : undefined
        return [parameters?.scheme, parameters?.n, signers?.map(({ n }) => n)]
      }),
      [
        ['bf', 1, undefined],
        ['bf', 2, [1]],
        ['cc', 1, undefined],
        ['cc', 2, [1]],
      ],
    )
    const first = entriesOf(contents, 'a.example', 'bf').find(({ n }) => n === 1)!
    await setVault(
      withEntry(contents, 'a.example', { ...first, withdrawn: new Date().toISOString() }),
    )
    const after = await askUntil(({ body }) => body !== both.body)
    assert.deepEqual(after.body.trimEnd().split('\n'), lines.slice(1))
    assert.deepEqual(after.body.trimEnd().split('\n'), await recordsInShow())
  })

  it(
    'the list of our own CA lies where its certificates say, and what is revoked is in it at once',
    { skip: peer('openssl', 'openssl') },
    async () => {
      const command = async (...args: readonly string[]): Promise<string> => {
        const env = siteEnvironment(keys)
        const { code, text } = await hisho(['--haraka', haraka.directory, 'ca', ...args], { env })
        assert.equal(code, 0, text)
        return text
      }
      const url = 'http://crl.a.example/lists/a.example.crl'
      const file = (name: string): string => join(haraka.directory, name)
      const list = (path = '/lists/a.example.crl', host = 'crl.a.example'): Promise<Response> =>
        httpGet(port, host, path)
      const check = (): string => {
        const args = ['verify', '-crl_check', '-CAfile', file('root'), '-CRLfile', file('crl')]
        return spawnSync('openssl', [...args, file('own')]).stderr.toString()
      }
      const before = (await askUntil(({ status }) => status === 200)).body
      writeFileSync(file('root'), await command('init', '--domain', 'a.example', '--crl-url', url))
      writeFileSync(file('own'), await command('issue', '--domain', 'a.example', '--user', 'alice'))
      const fetched = async (isNew: (body: Buffer) => boolean): Promise<Buffer> => {
        for (let tries = 0; tries < 200; tries++) {
          const { status, type, body } = await list()
          if (status === 200 && isNew(body)) {
            assert.equal(type, 'application/pkix-crl')
            return body
          }
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
        return assert.fail('no list')
      }
      const first = await fetched(() => true)
      writeFileSync(file('crl'), asPem(first))
      assert.equal(check(), '')
      const [{ id }] = JSON.parse(await command('list', '--json')) as [{ id: string }]
      await command('revoke', id, '--reason', 'keyCompromise')
      writeFileSync(file('crl'), asPem(await fetched((body) => !body.equals(first))))
      assert.match(check(), /certificate revoked/)
      for (const [path, host] of [
        ['/lists/a.example.crl', 'crl.b.example'],
        ['/lists/b.example.crl', 'crl.a.example'],
        ['/a.example.crl', 'crl.a.example'],
      ] as const)
        assert.equal((await list(path, host)).status, 404)
      assert.equal((await ask()).body, before)
      await setVault(contents)
    },
  )

  it('a vault that is broken while it runs leaves the records as they were', async () => {
    const { body } = await ask()
    writeFileSync(join(haraka.directory, 'config', 'hisho.vault.age'), 'rubbish')
    haraka.forgetLog()
    const asking = setInterval(() => void ask().catch(() => {}), 200)
    try {
      await haraka.waitForLog(/vault locked: .*the contents read before stay in use/)
    } finally {
      clearInterval(asking)
    }
    assert.equal((await ask()).body, body)
    await setVault(contents)
  })

  it('while the vault is locked it is 503, and once it opens the records are there', async () => {
    const [kept, keptPort] = [haraka, port]
    port = await freePort()
    haraka = await start(port, { 'config/hisho.vault.age': 'rubbish' })
    try {
      for (const method of ['GET', 'HEAD'])
        assert.equal((await ask(undefined, { method })).status, 503)
      assert.equal((await ask('ibemail.b.example')).status, 404)
      await setVault(keys.contents)
      const { status, body } = await askUntil((answer) => answer.status !== 503)
      assert.equal(status, 200)
      assert.equal(body, keys.records.map((record) => `${record}\n`).join(''))
    } finally {
      await haraka.stop()
      ;[haraka, port] = [kept, keptPort]
    }
  })

  for (const nodes of [0, 2]) {
    it(`answers with nodes=${nodes} too`, async () => {
      const other = await freePort()
      const running = await start(other, { 'config/smtp.ini': `nodes=${nodes}\n` })
      try {
        for (let request = 0; request < 4; request++) {
          const { body } = await exchange(other, requestOf(['ibemail.a.example']))
          assert.equal(body, keys.records.map((record) => `${record}\n`).join(''))
        }
      } finally {
        await running.stop()
      }
    })
  }

  it('says at start that nothing is answered where Haraka does not listen for HTTP', async () => {
    const silent = await startHaraka({
      environment: siteEnvironment(keys),
      files: siteFiles({
        domain: 'a.example',
        keys,
        dnsPort: dns.port,
        mailbox: 1,
        routes: {},
        plugins: PLUGINS,
      }),
    })
    try {
      await silent.waitForLog(/hisho\/well_known.*http\.ini has no listen/)
    } finally {
      await silent.stop()
    }
  })
})
