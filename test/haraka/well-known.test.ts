import assert from 'node:assert/strict'
import { createServer, get, type IncomingHttpHeaders, type Server } from 'node:http'
import { once } from 'node:events'
import { after, before, beforeEach, describe, it } from 'node:test'
import { parameterText } from '../../lib/haraka/well-known-texts.ts'
import { createWellKnown } from '../../lib/haraka/well-known.ts'
import { TempError } from '../../lib/errors.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { withMasterKey, type VaultContents } from '../../lib/vault/contents.ts'
import { makeSite } from '../support/site.ts'

const PATH = '/.well-known/ibemail.txt'

describe('the answer at ibemail.txt', () => {
  let server: Server
  let port = 0
  let vault: () => Promise<VaultContents>
  let first: VaultContents
  let second: VaultContents
  let signed = 0
  let signRecord: () => Promise<Uint8Array>
  let trustForwardedHost = false
  let enabled = true
  const log: string[] = []

  before(async () => {
    first = (await makeSite('a.example')).contents
    const next = (await makeSite('a.example', { n: 2 })).contents
    second = next
      .get('a.example')!
      .ibe.reduce((contents, entry) => withMasterKey(contents, 'a.example', entry), first)
    const text = parameterText({
      table: {
        current: () =>
          parseDomainTable('local: [a.example, empty.example]\n', 'table', [{ name: 'ibe' }]),
      },
      keyRing: { contents: () => vault(), latest: () => vault() },
      ibe: { signRecord: () => signRecord() },
    })
    const handler = createWellKnown({
      texts: [text],
      settings: () => ({ enabled, trustForwardedHost }),
      log: (level, text) => log.push(`${level} ${text}`),
    })
    server = createServer((request, response) =>
      handler(request, response, () => response.writeHead(410).end('passed on')),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    port = typeof address === 'object' && address ? address.port : 0
  })
  after(() => server?.close())
  beforeEach(() => {
    signed = 0
    log.length = 0
    enabled = true
    trustForwardedHost = false
    vault = async () => second
    signRecord = async () => {
      signed += 1
      return new Uint8Array(48).fill(7)
    }
  })

  async function ask(
    headers: Readonly<Record<string, string>> = {},
    path = PATH,
  ): Promise<{ status: number | undefined; headers: IncomingHttpHeaders; text: string }> {
    const sent = get({
      port,
      host: '127.0.0.1',
      path,
      agent: false,
      headers: { host: 'ibemail.a.example', ...headers },
    })
    const [response] = await once(sent, 'response')
    const pieces: Buffer[] = []
    for await (const piece of response) pieces.push(piece)
    return {
      status: response.statusCode,
      headers: response.headers,
      text: Buffer.concat(pieces).toString('utf8'),
    }
  }

  it('is made once for the contents of a vault, and anew when they change', async () => {
    vault = async () => new Map(second)
    assert.equal((await ask()).status, 200)
    assert.equal(signed, 2)
    const contents = new Map(second)
    vault = async () => contents
    const texts = await Promise.all(Array.from({ length: 20 }, async () => (await ask()).text))
    assert.equal(new Set(texts).size, 1)
    assert.equal(signed, 4)
    vault = async () => first
    assert.notEqual((await ask()).text, texts[0])
    assert.equal(signed, 4)
  })

  it('is 503 while the vault is locked, and for a domain that is not ours 404 all the same', async () => {
    vault = () => Promise.reject(new TempError('vault/locked', 'no passphrase'))
    const { status, headers, text } = await ask()
    assert.equal(status, 503)
    assert.equal(headers['retry-after'], '60')
    assert.equal(text, 'try again later\n')
    assert.deepEqual(log, [`warn ${PATH}: vault/locked: no passphrase`])
    assert.equal((await ask({ host: 'ibemail.b.example' })).status, 404)
  })

  it('a failure is not kept, and says nothing of its cause', async () => {
    const contents = new Map(second)
    vault = async () => contents
    const works = signRecord
    signRecord = () => Promise.reject(new Error('the cause'))
    const failed = await ask()
    assert.equal(failed.status, 500)
    assert.equal(failed.text, 'failed\n')
    assert.match(log.join(), /^error .*a bug: Error: the cause/)
    signRecord = () => Promise.reject(new TempError('crypto/busy', 'full'))
    assert.equal((await ask()).status, 503)
    signRecord = works
    assert.equal((await ask()).status, 200)
  })

  it('is not sent again to who has it', async () => {
    const { headers, text } = await ask()
    const etag = headers.etag ?? ''
    assert.match(etag, /^"[\w-]{43}"$/)
    assert.notEqual(text, '')
    for (const condition of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await ask({ 'if-none-match': condition })
      assert.equal(again.status, 304, condition)
      assert.equal(again.text, '')
      assert.equal(again.headers.etag, etag)
    }
    assert.equal((await ask({ 'if-none-match': '"other"' })).status, 200)
  })

  it('believes X-Forwarded-Host only where it is told to, and then a single name', async () => {
    const forwarded = { host: 'ibemail.b.example', 'x-forwarded-host': 'ibemail.a.example' }
    const attack = { host: 'ibemail.a.example', 'x-forwarded-host': 'ibemail.b.example' }
    assert.equal((await ask(forwarded)).status, 404)
    assert.equal((await ask(attack)).status, 200)
    trustForwardedHost = true
    assert.equal((await ask(forwarded)).status, 200)
    assert.equal((await ask(attack)).status, 404)
    assert.equal((await ask()).status, 200)
    const two = 'ibemail.a.example, ibemail.a.example'
    assert.equal((await ask({ 'x-forwarded-host': two })).status, 404)
  })

  it('other paths, and all when it is switched off, are left to others', async () => {
    for (const path of [
      '/',
      `${PATH}/`,
      `${PATH}?x`,
      PATH.toUpperCase(),
      `${PATH}.bak`,
      '/x/../.well-known/ibemail.txt',
      '/.well-known%2fibemail.txt',
    ])
      assert.equal((await ask({}, path)).text, 'passed on', path)
    enabled = false
    assert.equal((await ask()).text, 'passed on')
  })
})
