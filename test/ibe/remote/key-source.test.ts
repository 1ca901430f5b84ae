// A gateway's side: what it takes from an honest KGC, and what it does when the KGC is away, slow, or lies.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { SecretBytes } from '../../../lib/crypto/secret-bytes.ts'
import { TempError } from '../../../lib/errors.ts'
import { formatLegacy } from '../../../lib/ibe/bb2/parameters.ts'
import { IDENTITY_DST } from '../../../lib/ibe/boneh-franklin.ts'
import type { IdentityKeyRequest } from '../../../lib/ibe/key-source.ts'
import { formatParameters } from '../../../lib/ibe/parameters.ts'
import { createApproval } from '../../../lib/ibe/remote/approval.ts'
import { createKgcConnection } from '../../../lib/ibe/remote/connection.ts'
import { createRemoteKeySource, type RemoteKeySource } from '../../../lib/ibe/remote/key-source.ts'
import { createKgcClient } from '../../../lib/ibe/remote/kgc-client.ts'
import { openPinFile, parsePins, recordOf } from '../../../lib/ibe/remote/pins.ts'
import {
  formatGenerations,
  formatIssuedKey,
  formatRefusal,
  REFUSALS,
  type Refusal,
} from '../../../lib/ibe/remote/protocol.ts'
import { SIGNER_DST } from '../../../lib/ibe/signature/cha-cheon.ts'
import { makeAuthority } from '../../support/authority.ts'
import { freePort } from '../../support/haraka.ts'
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

const BOB: IdentityKeyRequest = {
  scheme: 'bf',
  domain: 'b.example',
  n: 1,
  identity: 'bob@b.example#2026-11',
}
const MINUTE_MS = 60_000
const TIMEOUT_MS = 1500

type Answering = (request: IncomingMessage, response: ServerResponse) => void

interface Server {
  readonly url: string
  /** Paths, in the order in which they were asked for. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

const unreachable = (error: unknown): boolean =>
  error instanceof TempError && error.code === 'kgc/unreachable'
const refused = (error: unknown): boolean =>
  error instanceof TempError && error.code === 'kgc/refused'

describe('keys from a KGC', { skip: peer('openssl', 'openssl') }, () => {
  let clock: FakeClock
  let engines: Engines
  let certificates: Certificates
  let own: OwnGeneration
  let signing: OwnGeneration
  let legacy: OwnGeneration
  let folder: string
  let published: (domain: string) => Promise<readonly string[]>
  let log: string[]
  let opened: { close(): unknown }[]

  before(async () => {
    engines = openEngines(fakeClock())
    certificates = makeCertificates()
    ;[own, signing, legacy] = await Promise.all([
      makeGeneration(engines, 'bf'),
      makeGeneration(engines, 'cc'),
      makeGeneration(engines, 'bb2'),
    ])
  })
  after(async () => {
    await engines?.close()
    certificates?.close()
  })
  beforeEach(() => {
    clock = fakeClock(Date.parse('2026-11-22T12:00:00Z'))
    folder = mkdtempSync(join(tmpdir(), 'hisho-pins-'))
    published = async () => []
    log = []
    opened = []
  })
  afterEach(async () => {
    for (const one of opened.toReversed()) await one.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const pinFile = (): string => join(folder, 'hisho.kgc.yaml')
  const pin = (...generations: readonly OwnGeneration[]): Promise<void> => {
    const records = generations.map((one) => recordOf(one.scheme, one))
    return openPinFile(pinFile()).write(new Map([['b.example', records]]))
  }

  const open = (
    url: string,
    more: {
      readonly ca?: string
      readonly as?: Certificates['gateway']
      readonly pins?: string
    } = {},
  ): RemoteKeySource => {
    const { ca = certificates.authority.certificate, as = certificates.gateway } = more
    const note = (_level: string, message: string): void => void log.push(message)
    const source = createRemoteKeySource({
      client: createKgcClient(
        createKgcConnection({ url, authorities: ca, ...as, timeoutMs: TIMEOUT_MS }),
      ),
      isOurs: (domain) => domain === 'b.example',
      approval: createApproval({
        pins: openPinFile(more.pins ?? pinFile()),
        publishedTexts: (domain) => published(domain),
        clock,
        log: note,
      }),
      check: {
        bf: (question) => engines.ibe.checkIdentityKey({ ...question, dst: IDENTITY_DST }),
        cc: (question) => engines.ibe.checkIdentityKey({ ...question, dst: SIGNER_DST }),
        bb2: ({ publicKey, identity, identityKey }) =>
          engines.bb2.checkIdentityKey(
            engines.bb2.parametersOf(1, publicKey),
            identity,
            identityKey,
          ),
      },
      clock,
      log: note,
    })
    opened.push(source)
    return source
  }

  const honest = async (generations = [own, signing, legacy]): Promise<TestKgc> => {
    const centre = centreOf(engines, clock, generations)
    const kgc = await startTestKgc({ centre, clock, certificates })
    opened.unshift(kgc) // closed after the sources, whose connections are kept alive
    return kgc
  }

  /** A server that does what it likes. */
  const serve = async (answering: Answering, options: ServerOptions = {}): Promise<Server> => {
    const asked: string[] = []
    const server = createServer(
      {
        cert: certificates.kgc.certificate,
        key: certificates.kgc.privateKey,
        ca: certificates.authority.certificate,
        requestCert: true,
        ...options,
      },
      (request, response) => {
        asked.push(`${request.method} ${request.url}`)
        answering(request, response)
      },
    )
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const started = {
      url: `https://127.0.0.1:${port}`,
      asked,
      close: async () => {
        server.close()
        server.closeAllConnections()
        await once(server, 'close')
      },
    }
    opened.unshift(started)
    return started
  }

  /** Names the generations as an honest KGC does; the rest is another's. */
  const withGenerations = (answering: Answering, generations = [own]): Answering => {
    return (request, response) => {
      if (request.url?.startsWith('/v1/generations'))
        return void response.end(formatGenerations(generations))
      answering(request, response)
    }
  }
  const keyOf = async (
    identity: string,
    masterKey = own.masterKey,
    dst = IDENTITY_DST,
  ): Promise<Uint8Array> => (await engines.ibe.extract(masterKey, identity, dst)).bytes
  const refusing =
    (refusal: Refusal): Answering =>
    (_request, response) => {
      response.writeHead(REFUSALS[refusal]).end(formatRefusal(refusal))
    }

  describe('that is honest', () => {
    beforeEach(() => pin(own, signing, legacy))

    it('are those that its master keys give, of each scheme', async () => {
      const source = open((await honest()).url)
      const key = await source.identityKey(BOB)
      assert.deepEqual(key?.bytes, await keyOf(BOB.identity))
      const signer = await source.identityKey({ ...BOB, scheme: 'cc' })
      assert.deepEqual(signer?.bytes, await keyOf(BOB.identity, signing.masterKey, SIGNER_DST))
      const paper = await source.identityKey({ ...BOB, scheme: 'bb2', identity: 'bob' })
      const parameters = engines.bb2.parametersOf(1, legacy.publicKey)
      assert.ok(await engines.bb2.checkIdentityKey(parameters, 'bob', paper!))
      assert.deepEqual(await source.generations('b.example', 'bf'), [{ n: 1, period: 'month' }])
    })

    it('are asked for once, however many want them, and each has a copy to wipe', async () => {
      const kgc = await honest()
      const source = open(kgc.url)
      const keys = await Promise.all(Array.from({ length: 10 }, () => source.identityKey(BOB)))
      for (const key of keys.slice(1)) key?.wipe()
      assert.deepEqual(keys[0]?.bytes, await keyOf(BOB.identity))
      assert.deepEqual((await source.identityKey(BOB))?.bytes, keys[0]?.bytes)
      assert.equal(kgc.audit().length, 1)
    })

    it('are held for an hour, and not beyond what the KGC allows', async () => {
      const kgc = await honest()
      const source = open(kgc.url)
      await source.identityKey(BOB)
      clock.passMs(59 * MINUTE_MS)
      await source.identityKey(BOB)
      assert.equal(kgc.audit().length, 1)
      clock.passMs(MINUTE_MS)
      await source.identityKey(BOB)
      assert.equal(kgc.audit().length, 2)
      clock.passMs(Date.parse('2026-11-30T23:59:00Z') - clock.nowMs())
      await source.identityKey({ ...BOB, scheme: 'cc' })
      clock.passMs(12 * MINUTE_MS)
      assert.equal(await source.identityKey({ ...BOB, scheme: 'cc' }), undefined)
      assert.equal(kgc.audit().at(-1)?.['outcome'], 'outside-window')
    })

    it('are wiped with the source', async () => {
      const source = open((await honest()).url)
      await source.identityKey(BOB)
      assert.equal(source.held.size, 1)
      source.close()
      assert.equal(source.held.size, 0)
    })

    it('are none where there is no such generation any more', async () => {
      const generations = [own]
      const source = open((await honest(generations)).url)
      assert.equal(await source.identityKey({ ...BOB, n: 2 }), undefined)
      assert.ok(await source.identityKey(BOB))
      generations.pop()
      clock.passMs(MINUTE_MS)
      assert.equal(await source.identityKey(BOB), undefined)
    })

    it('are there as soon as the KGC has a new generation', async () => {
      const next = await makeGeneration(engines, 'bf', { n: 2 })
      await pin(own, next)
      const generations = [own]
      const source = open((await honest(generations)).url)
      const request = { ...BOB, n: 2 }
      assert.equal(await source.identityKey(request), undefined)
      generations.push(next)
      clock.passMs(1000)
      assert.ok(await source.identityKey(request))
    })

    it('wait, where the KGC is away, for whatever generation it may have by now', async () => {
      const kgc = await honest()
      const source = open(kgc.url)
      assert.ok(await source.identityKey(BOB))
      opened.splice(opened.indexOf(kgc), 1)
      await kgc.close()
      clock.passMs(2 * MINUTE_MS)
      await assert.rejects(source.identityKey({ ...BOB, n: 2 }), unreachable)
    })

    it('are none outside of the window', async () => {
      const source = open((await honest()).url)
      const past = { ...BOB, identity: 'bob@b.example#2026-10' }
      assert.equal(await source.identityKey(past), undefined)
      assert.deepEqual(log, [])
    })

    it('are not asked for where no KGC could give one', async () => {
      const kgc = await honest()
      const source = open(kgc.url)
      for (const request of [
        { ...BOB, domain: 'c.example', identity: 'bob@c.example#2026-11' },
        { ...BOB, identity: 'bob@b.example#2020-11' },
        { ...BOB, identity: 'bob@b.example#2028-11' },
        { ...BOB, identity: 'bob@b.example#2026-11-22' },
        { ...BOB, identity: 'bob@c.example#2026-11' },
      ])
        assert.equal(await source.identityKey(request), undefined)
      assert.deepEqual(await source.generations('c.example', 'bf'), [])
      await source.identityKey(BOB)
      assert.deepEqual(
        kgc.audit().map(({ outcome }) => outcome),
        ['issued'],
      )
    })

    it('come over a new connection when the KGC has closed the old one', async () => {
      const key = await keyOf(BOB.identity)
      const server = await serve(
        withGenerations((_request, response) => response.end(formatIssuedKey({ key }))),
        { keepAliveTimeout: 1 },
      )
      const source = open(server.url)
      for (let count = 0; count < 5; count++) {
        assert.ok(await source.identityKey(BOB))
        clock.passMs(61 * MINUTE_MS)
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
  })

  describe('that is away', () => {
    beforeEach(() => pin(own))

    it('wait; and it is said once that it is away, and once that it is back', async () => {
      const port = await freePort()
      const source = open(`https://127.0.0.1:${port}`)
      await assert.rejects(source.identityKey(BOB), unreachable)
      await assert.rejects(source.identityKey(BOB), unreachable)
      assert.equal(log.length, 1)
      assert.match(log[0]!, /ECONNREFUSED.*deferred/)

      let answering = refusing('locked')
      const server = await serve((request, response) => answering(request, response))
      const other = open(server.url)
      await assert.rejects(other.identityKey(BOB), unreachable)
      const key = await keyOf(BOB.identity)
      answering = withGenerations((_request, response) => response.end(formatIssuedKey({ key })))
      assert.ok(await other.identityKey(BOB))
      assert.match(log.slice(1).join('\n'), /answers: locked.*\n.*answers again$/)
    })

    it('are still used for some minutes while they are held', async () => {
      const kgc = await honest()
      const source = open(kgc.url)
      await source.identityKey(BOB)
      opened.splice(opened.indexOf(kgc), 1)
      await kgc.close()
      clock.passMs(9 * MINUTE_MS)
      assert.ok(await source.identityKey(BOB))
      const eve = { ...BOB, identity: 'eve@b.example#2026-11' }
      await assert.rejects(source.identityKey(eve), unreachable)
      clock.passMs(2 * MINUTE_MS)
      await assert.rejects(source.identityKey(BOB), unreachable)
    })

    const silent: Readonly<Record<string, Answering>> = {
      'says nothing': () => {},
      'says a byte now and then': (_request, response) => {
        response.writeHead(200)
        const timer = setInterval(() => response.write(' '), 100)
        response.on('close', () => clearInterval(timer))
      },
      'dies before it answers': (request) => request.socket.destroy(),
      'dies within its answer': (request, response) => {
        response
          .writeHead(200, { 'Content-Length': 1000 })
          .write('{"key":', () => request.socket.destroy())
      },
      'never comes to an end': (_request, response) => {
        response.writeHead(200)
        const more = (): void => {
          while (response.writable && response.write('x'.repeat(65_536)));
        }
        response.on('drain', more)
        more()
      },
      'is a web server that is out of order': (_request, response) =>
        response.writeHead(502).end('<html>'),
      'sends us elsewhere': (request, response) =>
        response.writeHead(302, { Location: request.url }).end(),
    }
    for (const [what, answering] of Object.entries(silent)) {
      it(`wait when it ${what}, no longer than the time that it has`, async () => {
        for (const server of [await serve(answering), await serve(withGenerations(answering))]) {
          const began = performance.now()
          await assert.rejects(open(server.url).identityKey(BOB), unreachable)
          assert.ok(performance.now() - began < TIMEOUT_MS + 1000)
        }
      })
    }

    for (const refusal of ['rate-limited', 'locked', 'unavailable'] as const) {
      it(`wait when it answers ${refusal}`, async () => {
        const server = await serve(withGenerations(refusing(refusal)))
        await assert.rejects(open(server.url).identityKey(BOB), unreachable)
        assert.match(log.join('\n'), new RegExp(refusal))
      })
    }

    it('wait when it, or whoever is in its place, has no good certificate', async () => {
      const strangers = makeAuthority()
      const good: Answering = withGenerations(() => {})
      const of = ({ certificate, privateKey }: Certificates['gateway']): ServerOptions => ({
        cert: certificate,
        key: privateKey,
      })
      const { authority } = certificates
      const servers: Readonly<Record<string, ServerOptions>> = {
        'another authority': of(strangers.issue('x', { names: 'IP:127.0.0.1' })),
        'another name': of(authority.issue('other.test')),
        over: of(authority.issue('x', { names: 'IP:127.0.0.1', days: -1 })),
        "a gateway's": of(authority.issue('x', { names: 'IP:127.0.0.1', usage: 'clientAuth' })),
        'TLS 1.2': { maxVersion: 'TLSv1.2' },
      }
      for (const [what, options] of Object.entries(servers)) {
        const server = await serve(good, options)
        await assert.rejects(open(server.url).identityKey(BOB), unreachable, what)
        assert.deepEqual(server.asked, [], what)
      }
      strangers.close()
    })

    it('wait when it does not take our certificate', async () => {
      const strangers = makeAuthority()
      const kgc = await honest()
      const as = strangers.issue('mx.b.example')
      await assert.rejects(open(kgc.url, { as }).identityKey(BOB), unreachable)
      assert.deepEqual(kgc.log.length, 1)
      strangers.close()
    })
  })

  describe('that lies', () => {
    beforeEach(() => pin(own))

    const lies: Readonly<Record<string, () => Promise<Uint8Array>>> = {
      'a key of somebody else': () => keyOf('eve@b.example#2026-11'),
      'a key for another month': () => keyOf('bob@b.example#2026-12'),
      'a key to sign with': () => keyOf(BOB.identity, own.masterKey, SIGNER_DST),
      'a key under another master key': () => keyOf(BOB.identity, signing.masterKey),
      'bytes that are no point': async () => new Uint8Array(48).fill(0xa7),
      'the point at infinity': async () => Uint8Array.of(0xc0, ...new Uint8Array(47)),
    }
    for (const [what, lie] of Object.entries(lies)) {
      it(`are refused: ${what}`, async () => {
        const key = await lie()
        const server = await serve(
          withGenerations((_request, response) => response.end(formatIssuedKey({ key }))),
        )
        const source = open(server.url)
        await assert.rejects(source.identityKey(BOB), refused)
        await assert.rejects(source.identityKey(BOB), refused)
        assert.equal(source.held.size, 0)
        assert.match(log[0]!, /not believed: its key for bob@b\.example#2026-11 is not one of/)
      })
    }

    it('are refused: what is no answer at all', async () => {
      for (const text of ['', '{}', '[]', '{"key":"AAAA"}', 'null', '"key"']) {
        const server = await serve(withGenerations((_request, response) => response.end(text)))
        await assert.rejects(open(server.url).identityKey(BOB), refused, text)
      }
    })

    it('are refused: of the paper’s scheme, a key of somebody else', async () => {
      await pin(legacy)
      const key = (await engines.bb2.extract(legacy.masterKey, 'eve')).bytes
      const server = await serve(
        withGenerations((_request, response) => response.end(formatIssuedKey({ key })), [legacy]),
      )
      const request = { ...BOB, scheme: 'bb2', identity: 'bob' } as const
      await assert.rejects(open(server.url).identityKey(request), refused)
    })

    it('are refused under a public key that is not the pinned one, whatever DNS says', async () => {
      const other = await makeGeneration(engines, 'bf')
      published = async () => [formatParameters({ version: '2.0', ...other, scheme: 'bf' })]
      const key = await keyOf(BOB.identity, other.masterKey)
      const server = await serve(
        withGenerations((_request, response) => response.end(formatIssuedKey({ key })), [other]),
      )
      const source = open(server.url)
      await assert.rejects(source.identityKey(BOB), refused)
      await assert.rejects(source.generations('b.example', 'bf'), refused)
      assert.deepEqual(server.asked, ['GET /v1/generations?domain=b.example&scheme=bf'])
    })

    it('are refused under another kind of period than is pinned', async () => {
      const server = await serve(withGenerations(() => {}, [{ ...own, period: 'none' }]))
      const request = { ...BOB, identity: 'bob@b.example' }
      await assert.rejects(open(server.url).identityKey(request), refused)
    })

    it('wait when it says that now is not now', async () => {
      const server = await serve(withGenerations(refusing('outside-window')))
      await assert.rejects(open(server.url).identityKey(BOB), refused)
      assert.match(log[0]!, /compare its clock with ours/)
    })

    it('wait, loudly, when it does not have us on its list', async () => {
      const server = await serve(refusing('not-for-this-gateway'))
      await assert.rejects(open(server.url).identityKey(BOB), refused)
      assert.match(log[0]!, /does not have this gateway on its list for b\.example/)
    })
  })

  describe('under a new generation', () => {
    let next: OwnGeneration
    const record = (one: OwnGeneration): string =>
      formatParameters({ version: '2.0', ...one, scheme: 'bf', notAfterSeconds: 1_900_000_000 })
    const NEXT = { ...BOB, n: 2 }
    before(async () => {
      next = await makeGeneration(engines, 'bf', { n: 2 })
    })
    beforeEach(() => pin(own))

    it('wait while the domain does not publish it, and the old ones go on', async () => {
      const source = open((await honest([own, next])).url)
      await assert.rejects(source.identityKey(NEXT), refused)
      assert.match(log[0]!, /neither pinned nor published by the domain.*hisho kgc trust/)
      assert.ok(await source.identityKey(BOB))
      assert.deepEqual(await source.generations('b.example', 'bf'), [{ n: 1, period: 'month' }])
    })

    it('wait while DNS does not answer, or says something else', async () => {
      const source = open((await honest([own, next])).url)
      published = () => Promise.reject(new TempError('dns/timeout', 'no answer'))
      await assert.rejects(source.identityKey(NEXT), /no answer/)
      published = async () => ['v=spf1 -all', record({ ...own, n: 2 }), record(own), 'ver=2.0; a=']
      await assert.rejects(source.identityKey(NEXT), refused)
    })

    it('are taken when the domain publishes it, and pinned for when it does not any more', async () => {
      const { url } = await honest([own, next])
      const source = open(url)
      published = async () => [record(next)]
      assert.ok(await source.identityKey(NEXT))
      published = async () => []
      const list = parsePins(readFileSync(pinFile(), 'utf8'), 'pins').get('b.example')
      assert.deepEqual(
        list?.map(({ n }) => n),
        [1, 2],
      )
      assert.ok(await open(url).identityKey(NEXT))
    })

    it('are pinned all, when several come at once', async () => {
      const { url } = await honest([own, next, signing])
      const cc = formatParameters({ version: '2.0', ...signing, scheme: 'cc' })
      published = async () => [record(next), cc]
      const source = open(url)
      await Promise.all([source.identityKey(NEXT), source.identityKey({ ...BOB, scheme: 'cc' })])
      const list = parsePins(readFileSync(pinFile(), 'utf8'), 'pins').get('b.example')
      assert.equal(list?.length, 3)
    })

    it('of the paper’s scheme are taken when the domain publishes it', async () => {
      published = async () => [formatLegacy(engines.bb2.parametersOf(1, legacy.publicKey))]
      const source = open((await honest()).url)
      assert.ok(await source.identityKey({ ...BOB, scheme: 'bb2', identity: 'bob' }))
    })

    it('are not asked of DNS more than once a minute', async () => {
      let count = 0
      published = async () => {
        count++
        return []
      }
      const source = open((await honest([own, next])).url)
      for (let tries = 0; tries < 5; tries++)
        await assert.rejects(source.identityKey(NEXT), refused)
      assert.equal(count, 1)
      clock.passMs(MINUTE_MS)
      await assert.rejects(source.identityKey(NEXT), refused)
      assert.equal(count, 2)
    })

    it('are taken as soon as the operator has pinned it', async () => {
      const source = open((await honest([own, next])).url)
      await assert.rejects(source.identityKey(NEXT), refused)
      await pin(own, next)
      assert.ok(await source.identityKey(NEXT))
    })

    it('are taken, and it is said, where the file of pins cannot be written', async () => {
      const pins = join(folder, 'not', 'there', 'pins.yaml')
      published = async () => [record(own), record(next)]
      const source = open((await honest([own, next])).url, { pins })
      assert.ok(await source.identityKey(NEXT))
      assert.match(log.join('\n'), /n=2: the file of pins cannot be written/)
      published = async () => []
      assert.ok(await source.identityKey(NEXT))
    })

    it('wait while the file of pins is damaged, or is no file', async () => {
      const { url } = await honest([own, next])
      for (const text of [
        'version: 2\n',
        'a: [',
        `version: 1\ndomains: { b.example: [ver=3] }\n`,
      ]) {
        writeFileSync(pinFile(), text)
        await assert.rejects(open(url).identityKey(BOB), /hisho\.kgc\.yaml:\d+:\d+: /)
      }
      const directory = join(folder, 'pins')
      mkdirSync(directory)
      await assert.rejects(open(url, { pins: directory }).identityKey(BOB), refused)
    })
  })

  it('are copies: a SecretBytes that does not print', async () => {
    await pin(own)
    const key = await open((await honest()).url).identityKey(BOB)
    assert.ok(key instanceof SecretBytes)
    assert.equal(String(key), '[secret]')
  })
})
