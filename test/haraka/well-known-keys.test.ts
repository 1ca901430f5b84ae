// The Web Key Directory of our own domains, as anybody's client asks for it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { TempError } from '../../lib/errors.ts'
import { keyPages } from '../../lib/haraka/well-known-keys.ts'
import { createWellKnown } from '../../lib/haraka/well-known.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import { webPlacesOf } from '../../lib/key-directory/names.ts'
import { createOpenPgpKeyFormat } from '../../lib/openpgp/key-format.ts'
import type { OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { createOwnPublicKeys } from '../../lib/services/own-public-keys.ts'
import type { VaultContents } from '../../lib/vault/contents.ts'
import { withMailKey, type MailKeyEntry } from '../../lib/vault/mail-keys.ts'
import { newKey, startPool, type TestKey } from '../openpgp/world.ts'

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

describe('the Web Key Directory of our domains', () => {
  let pool: OpenPgpPool
  let alice: TestKey
  let site: TestKey
  let server: Server
  let vault: () => Promise<VaultContents>
  let contents: VaultContents = new Map()

  const entry = (
    user: string,
    { fingerprint: id, secret }: TestKey,
    more: Partial<MailKeyEntry> = {},
  ): MailKeyEntry => ({
    id,
    user,
    secret: new SecretBytes(Uint8Array.from(secret)),
    certificates: [],
    created: '2026-11-22T00:00:00.000Z',
    ...more,
  })

  before(async () => {
    pool = startPool()
    alice = await newKey(pool, 'alice@a.example')
    site = await newKey(pool, 'postmaster@a.example')
    const old = await newKey(pool, 'alice@a.example')
    for (const one of [
      entry('alice', old, { superseded: '2026-11-22T01:00:00.000Z' }),
      entry('alice', alice),
      entry('*', site),
    ])
      contents = withMailKey(contents, 'a.example', 'openpgp', one)
    vault = async () => contents
    const formats = [createOpenPgpKeyFormat({ pool, normalizeAddress })]
    const pages = keyPages({
      table: {
        current: () => parseDomainTable('local: [a.example, empty.example]\n', 'table', []),
      },
      ownPublicKeys: createOwnPublicKeys({ keyRing: { latest: () => vault() }, formats }),
    })
    const handler = createWellKnown({
      texts: [],
      pages: [pages],
      settings: () => ({ enabled: true, trustForwardedHost: false }),
      log: () => {},
    })
    server = createServer((asked, response) =>
      handler(asked, response, () => response.writeHead(410).end('passed on')),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(async () => {
    server?.close()
    await pool?.close()
  })

  async function ask(host: string, path: string, method = 'GET'): Promise<Answer> {
    const place = server.address()
    assert.ok(typeof place === 'object' && place)
    const sent = request({ port: place.port, host: '127.0.0.1', path, method, headers: { host } })
    sent.end()
    const [response] = await once(sent, 'response')
    const pieces: Buffer[] = []
    for await (const piece of response) pieces.push(piece)
    return { status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }
  }

  it('has the certificate of a user by both methods, with no secret in it', async () => {
    for (const { host, path } of Object.values(webPlacesOf('alice@a.example'))) {
      for (const asked of [path, path.replace(/\?.*$/, '')]) {
        const { status, headers, body } = await ask(host, asked)
        assert.equal(status, 200)
        assert.deepEqual(Uint8Array.from(body), alice.certificate)
        assert.equal(headers['content-type'], 'application/octet-stream')
        assert.equal(headers['access-control-allow-origin'], '*')
      }
      const head = await ask(host, path, 'HEAD')
      assert.equal(head.headers['content-length'], String(alice.certificate.length))
      assert.equal(head.body.length, 0)
    }
  })

  it('has the domain’s key for the address that it names, and a policy file', async () => {
    const { advanced, direct } = webPlacesOf('postmaster@a.example')
    assert.deepEqual(
      Uint8Array.from((await ask(advanced.host, advanced.path)).body),
      site.certificate,
    )
    for (const { host, path } of [advanced, direct]) {
      const policy = await ask(host, path.replace(/hu\/.*$/, 'policy'))
      assert.equal(policy.status, 200)
      assert.equal(policy.body.length, 0)
    }
  })

  it('has nothing for others, for domains that are not ours, or at another host', async () => {
    const { advanced, direct } = webPlacesOf('alice@a.example')
    const bob = webPlacesOf('bob@a.example').advanced
    const empty = webPlacesOf('alice@empty.example').advanced
    const elsewhere = webPlacesOf('alice@b.example').advanced
    for (const [host, path] of [
      [bob.host, bob.path],
      [empty.host, empty.path],
      [empty.host, empty.path.replace(/hu\/.*$/, 'policy')],
      [elsewhere.host, elsewhere.path],
      [direct.host, advanced.path],
      [advanced.host, direct.path],
      ['openpgpkey.empty.example', advanced.path],
      ['ibemail.a.example', direct.path],
    ] as const)
      assert.equal((await ask(host, path)).status, 404, `${host}${path}`)
    const odd = '/.well-known/openpgpkey/a.example/hu/../hu/x'
    assert.equal((await ask(advanced.host, odd)).status, 410)
    assert.equal((await ask(advanced.host, advanced.path, 'POST')).status, 405)
  })

  it('is 503 while the vault is locked', async () => {
    const { host, path } = webPlacesOf('alice@a.example').advanced
    const held = vault
    vault = () => Promise.reject(new TempError('vault/locked', 'no passphrase'))
    assert.equal((await ask(host, path)).status, 503)
    vault = held
    assert.equal((await ask(host, path)).status, 200)
  })
})
