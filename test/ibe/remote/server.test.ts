// The KGC as a gateway, or somebody else, meets it on the network.
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { readFileSync, renameSync, statSync } from 'node:fs'
import { Agent, request, type RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { connect, type ConnectionOptions } from 'node:tls'
import { after, before, describe, it } from 'node:test'
import { TempError } from '../../../lib/errors.ts'
import { IDENTITY_DST } from '../../../lib/ibe/boneh-franklin.ts'
import type { KeyCentre } from '../../../lib/ibe/remote/handler.ts'
import { parseGenerations, parseIssuedKey } from '../../../lib/ibe/remote/protocol.ts'
import { SIGNER_DST } from '../../../lib/ibe/signature/cha-cheon.ts'
import { SecretBytes } from '../../../lib/crypto/secret-bytes.ts'
import { makeAuthority, type Credentials } from '../../support/authority.ts'
import { peer } from '../../support/peers.ts'
import { fakeClock, type FakeClock } from '../fake-clock.ts'
import {
  centreOf,
  makeCertificates,
  makeGeneration,
  openEngines,
  startTestKgc,
  type Certificates,
  type Engines,
  type OwnGeneration,
  type TestKgc,
} from './world.ts'

interface Reply {
  readonly status: number
  readonly text: string
}

const BOB = { scheme: 'bf', domain: 'b.example', n: 1, identity: 'bob@b.example#2026-11' } as const

describe('a KGC', { skip: peer('openssl', 'openssl') }, () => {
  let clock: FakeClock
  let engines: Engines
  let certificates: Certificates
  let generations: OwnGeneration[]
  let kgc: TestKgc
  before(async () => {
    clock = fakeClock(Date.parse('2026-11-22T12:00:00Z'))
    engines = openEngines(clock)
    certificates = makeCertificates()
    generations = await Promise.all([
      makeGeneration(engines, 'bf'),
      makeGeneration(engines, 'bf', { n: 2, period: 'day' }),
      makeGeneration(engines, 'cc'),
      makeGeneration(engines, 'bb2'),
    ])
    kgc = await start()
  })
  after(async () => {
    await kgc?.close()
    await engines?.close()
    certificates?.close()
  })

  const start = (more: Partial<Parameters<typeof startTestKgc>[0]> = {}): Promise<TestKgc> =>
    startTestKgc({ centre: centreOf(engines, clock, generations), clock, certificates, ...more })

  const ask = (
    options: RequestOptions,
    {
      body = '',
      to = kgc,
      as = certificates.gateway,
    }: { body?: string | Uint8Array; to?: TestKgc; as?: Credentials | 'nobody' } = {},
  ): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const shown = as === 'nobody' ? {} : { cert: as.certificate, key: as.privateKey }
      const sent = request(
        {
          host: '127.0.0.1',
          port: to.port,
          ca: certificates.authority.certificate,
          agent: false,
          ...shown,
          ...options,
        },
        (answer) => {
          let text = ''
          answer.setEncoding('utf8').on('data', (piece: string) => (text += piece))
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
          answer.on('error', reject)
        },
      )
      sent.on('error', reject)
      sent.end(body)
    })
  const keyFor = (asked: object, more: Parameters<typeof ask>[1] = {}): Promise<Reply> =>
    ask({ method: 'POST', path: '/v1/identity-key' }, { body: JSON.stringify(asked), ...more })
  const error = (word: string, status: number): Reply => ({ status, text: `{"error":"${word}"}` })

  it('gives keys of all schemes that check against the public keys it names', async () => {
    for (const { scheme, identity, dst } of [
      { scheme: 'bf', identity: BOB.identity, dst: IDENTITY_DST },
      { scheme: 'cc', identity: BOB.identity, dst: SIGNER_DST },
    ] as const) {
      const list = await ask({ path: `/v1/generations?domain=b.example&scheme=${scheme}` })
      assert.equal(list.status, 200)
      const { publicKey } = parseGenerations(list.text, scheme).find(({ n }) => n === 1)!
      const { key, untilSeconds } = parseIssuedKey((await keyFor({ ...BOB, scheme })).text, scheme)
      const identityKey = new SecretBytes(key)
      assert.ok(await engines.ibe.checkIdentityKey({ publicKey, identity, dst, identityKey }))
      const end = scheme === 'bf' ? '2026-12-15T00:00:00Z' : '2026-12-01T00:10:00Z'
      assert.equal(untilSeconds, Date.parse(end) / 1000)
    }
    const { text } = await keyFor({ ...BOB, scheme: 'bb2', identity: 'bob' })
    const key = new SecretBytes(parseIssuedKey(text, 'bb2').key)
    const [own] = generations.filter(({ scheme }) => scheme === 'bb2')
    const parameters = engines.bb2.parametersOf(1, own!.publicKey)
    assert.ok(await engines.bb2.checkIdentityKey(parameters, 'bob', key))
    assert.equal(await engines.bb2.checkIdentityKey(parameters, 'bobby', key), false)
  })

  it('writes a line for each key and each refusal, and no key into any of them', async () => {
    const lines = kgc.audit().length
    const issued = parseIssuedKey((await keyFor(BOB)).text, 'bf')
    await keyFor({ ...BOB, n: 9 })
    const [one, other] = kgc.audit().slice(lines)
    const { certificate, ...rest } = one!
    assert.match(String(certificate), /^[0-9a-f]{64}$/)
    assert.deepEqual(rest, {
      time: '2026-11-22T12:00:00.000Z',
      gateway: 'mx.b.example',
      ...BOB,
      outcome: 'issued',
    })
    assert.deepEqual([other!['n'], other!['outcome']], [9, 'no-such-generation'])
    const text = readFileSync(kgc.auditFile, 'utf8')
    for (const form of ['base64', 'base64url', 'hex'] as const)
      assert.ok(!text.includes(Buffer.from(issued.key).toString(form)))
    assert.equal(statSync(kgc.auditFile).mode & 0o777, 0o600)
  })

  const refused: readonly [string, object, string, number][] = [
    [
      'a domain that is not on the list',
      { domain: 'a.example', identity: 'bob@a.example#2026-11' },
      'not-for-this-gateway',
      403,
    ],
    [
      'a domain without keys',
      { domain: 'other.example', identity: 'bob@other.example#2026-11' },
      'no-such-generation',
      404,
    ],
    ['a generation that is not there', { n: 3 }, 'no-such-generation', 404],
    ['a month long past', { identity: 'bob@b.example#2026-10' }, 'outside-window', 410],
    ['a month to come', { identity: 'bob@b.example#2026-12' }, 'outside-window', 410],
    [
      'a month, to sign, that is over',
      { scheme: 'cc', identity: 'bob@b.example#2026-10' },
      'outside-window',
      410,
    ],
    ['another kind of period', { identity: 'bob@b.example#2026-W47' }, 'outside-window', 410],
    ['an identity of another domain', { identity: 'bob@a.example#2026-11' }, 'malformed', 400],
    ['an identity in another form', { identity: 'BOB@b.example#2026-11' }, 'malformed', 400],
    ['no identity', { identity: undefined }, 'malformed', 400],
  ]
  for (const [what, change, word, status] of refused) {
    it(`refuses ${what}`, async () => {
      assert.deepEqual(await keyFor({ ...BOB, ...change }), error(word, status))
    })
  }

  const strange: readonly [string, RequestOptions, string | Uint8Array][] = [
    ['JSON that is none', { method: 'POST', path: '/v1/identity-key' }, '{"scheme":'],
    [
      'a body of bytes that are no text',
      { method: 'POST', path: '/v1/identity-key' },
      Uint8Array.of(0x22, 0xff, 0x22),
    ],
    ['another method', { method: 'PUT', path: '/v1/identity-key' }, JSON.stringify(BOB)],
    ['another path', { method: 'POST', path: '/v1/master-key' }, JSON.stringify(BOB)],
    [
      'a path with more behind it',
      { method: 'POST', path: '/v1/identity-key?x=1' },
      JSON.stringify(BOB),
    ],
    ['a query that lacks a value', { path: '/v1/generations?domain=b.example' }, ''],
    ['a query with a strange scheme', { path: '/v1/generations?domain=b.example&scheme=rsa' }, ''],
    ['a body of more than 4 KiB', { method: 'POST', path: '/v1/identity-key' }, ' '.repeat(4097)],
  ]
  for (const [what, options, body] of strange) {
    it(`answers ${what} with a word and no more`, async () => {
      assert.deepEqual(await ask(options, { body }), error('malformed', 400))
      assert.equal(kgc.audit().at(-1)!['outcome'], 'malformed')
    })
  }

  it('takes a body of 4 KiB', async () => {
    const body = JSON.stringify(BOB)
    assert.equal((await keyFor(BOB, { body: body + ' '.repeat(4096 - body.length) })).status, 200)
  })

  const failsToConnect = async (as: Credentials | 'nobody'): Promise<void> => {
    const lines = kgc.audit().length
    await assert.rejects(keyFor(BOB, { as }), /alert|ECONNRESET|EPIPE|socket hang up/i)
    assert.equal(kgc.audit().length, lines, 'strangers do not fill the log')
  }
  it('does not speak to who has no certificate', async () => {
    await failsToConnect('nobody')
    assert.match(kgc.log.join('\n'), /1 connections without a good certificate were refused/)
  })
  it('does not speak to who has one of another authority', async () => {
    const other = makeAuthority()
    await failsToConnect(other.issue('mx.b.example', { usage: 'clientAuth' }))
    other.close()
  })
  it('does not speak to who has one that is over', () =>
    failsToConnect(certificates.authority.issue('mx.b.example', { days: -1 })))
  it("does not speak to who shows a server's certificate", () =>
    failsToConnect(certificates.authority.issue('mx.b.example', { usage: 'serverAuth' })))

  const strangers: Readonly<Record<string, Parameters<Certificates['authority']['issue']>>> = {
    'a gateway that is not on the list': ['mx.c.example'],
    'a certificate with the name as its common name only': ['mx.b.example', { names: '' }],
    'a certificate with a wildcard': ['any', { names: 'DNS:*.b.example' }],
    'a certificate with the name as another kind of name': ['any', { names: 'URI:mx.b.example' }],
  }
  for (const [what, named] of Object.entries(strangers)) {
    it(`refuses ${what}, and says so in the log`, async () => {
      const as = certificates.authority.issue(...named)
      assert.deepEqual(await keyFor(BOB, { as }), error('not-for-this-gateway', 403))
      const line = kgc.audit().at(-1)!
      assert.deepEqual([line['gateway'], line['outcome']], [null, 'not-for-this-gateway'])
    })
  }

  it('does not speak TLS 1.2', async () => {
    const options = { path: '/v1/generations?domain=b.example&scheme=bf' }
    assert.equal((await ask(options)).status, 200)
    await assert.rejects(ask({ ...options, maxVersion: 'TLSv1.2' }), /protocol version|alert/i)
  })

  it('does not go on with a connection whose certificate has ended', async () => {
    const as = certificates.authority.issue('mx.b.example', { days: 30 })
    const late = await start({ clock: fakeClock(Date.now() + 31 * 86_400_000) })
    await assert.rejects(keyFor(BOB, { to: late, as }), /ECONNRESET|socket hang up/)
    await late.close()
  })

  it('a gateway that asks too often is told so; what mail can provoke costs nothing', async () => {
    const strict = await start({ perMinute: 3 })
    const asked = async (more: object): Promise<number> =>
      (await keyFor({ ...BOB, ...more }, { to: strict })).status
    for (let count = 0; count < 5; count++) assert.equal(await asked({ n: 9 }), 404)
    assert.deepEqual([await asked({}), await asked({}), await asked({})], [200, 200, 200])
    assert.deepEqual(await keyFor(BOB, { to: strict }), error('rate-limited', 429))
    assert.equal(strict.audit().at(-1)!['outcome'], 'rate-limited')
    clock.passMs(20_000)
    assert.equal(await asked({}), 200)
    await strict.close()
  })

  it('gives no key out while its audit log cannot be written', async () => {
    const deaf = await start({ auditFile: tmpdir() })
    assert.deepEqual(await keyFor(BOB, { to: deaf }), error('unavailable', 503))
    assert.match(deaf.log.join('\n'), /audit log cannot be written: EISDIR/)
    await deaf.close()
  })

  it('a log that was rotated away is begun anew', async () => {
    await keyFor(BOB)
    renameSync(kgc.auditFile, `${kgc.auditFile}.1`)
    await keyFor(BOB)
    assert.equal(kgc.audit().length, 1)
  })

  it('says locked while the vault is, and unavailable for whatever else, without a reason', async () => {
    const failing = (failure: Error): KeyCentre => ({
      generations: () => Promise.reject(failure),
      identityKey: () => Promise.reject(failure),
    })
    const locked = await start({ centre: failing(new TempError('vault/locked', 'very private')) })
    assert.deepEqual(await keyFor(BOB, { to: locked }), error('locked', 503))
    const broken = await start({ centre: failing(new Error('very private')) })
    assert.deepEqual(await keyFor(BOB, { to: broken }), error('unavailable', 503))
    assert.deepEqual(
      await ask({ path: '/v1/generations?domain=b.example&scheme=bf' }, { to: broken }),
      error('unavailable', 503),
    )
    await Promise.all([locked.close(), broken.close()])
  })

  /** A client that sends this much, and waits for the end of the connection. */
  const hold = async (to: TestKgc, bytes: string): Promise<string> => {
    const options: ConnectionOptions = {
      host: '127.0.0.1',
      port: to.port,
      ca: certificates.authority.certificate,
      cert: certificates.gateway.certificate,
      key: certificates.gateway.privateKey,
    }
    const socket = connect(options)
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    let text = ''
    socket.on('data', (piece: Buffer) => (text += piece.toString()))
    socket.write(bytes)
    await once(socket, 'close')
    return text
  }
  const patience = { handshakeMs: 500, headMs: 500, requestMs: 1000, idleMs: 500 }

  it('does not wait for a head or a body that does not come', async () => {
    const strict = await start({ limits: patience })
    const head = 'POST /v1/identity-key HTTP/1.1\r\nHost: kgc\r\nContent-Length: 100\r\n'
    const [headless, bodiless] = await Promise.all([
      hold(strict, head),
      hold(strict, `${head}\r\n{"scheme":`),
    ])
    assert.match(headless, /^HTTP\/1\.1 408 |^$/)
    assert.match(bodiless, /^HTTP\/1\.1 408 |^$/)
    await strict.close()
  })

  it('takes no head of more than 8 KiB, and ends what is no HTTP', async () => {
    const large = await hold(kgc, `GET / HTTP/1.1\r\nHost: kgc\r\nX: ${'x'.repeat(9000)}\r\n\r\n`)
    assert.match(large, /^HTTP\/1\.1 431 /)
    assert.match(await hold(kgc, 'EHLO mx.b.example\r\n\r\n'), /^HTTP\/1\.1 400 /)
  })

  it('finishes what runs before it ends, and no more', { timeout: 20_000 }, async () => {
    const centre = centreOf(engines, clock, generations)
    const running = new EventEmitter()
    const slow = await start({
      centre: {
        ...centre,
        identityKey: async (which) => {
          running.emit('asked')
          await once(running, 'go on')
          return centre.identityKey(which)
        },
      },
    })
    const asked = once(running, 'asked')
    const agent = new Agent({ keepAlive: true })
    const options = { method: 'POST', path: '/v1/identity-key', agent }
    const reply = ask(options, { body: JSON.stringify(BOB), to: slow })
    await asked
    const closed = slow.close()
    running.emit('go on')
    assert.equal((await reply).status, 200)
    await closed // and not when the connection that is kept alive ends by itself
    agent.destroy()
  })
})
