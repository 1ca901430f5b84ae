import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { PermError, TempError } from '../../lib/errors.ts'
import { dnsNameOf, dnsNamesOf, webPlacesOf } from '../../lib/key-directory/names.ts'
import { KEY_SOURCES, type KeyKind, type KeySourceName } from '../../lib/mail/correspondent-keys.ts'
import { readVectors } from '../support/vectors.ts'
import { toyBytes, toyKey } from './toy-format.ts'
import { startKeyWorld, type KeyWorld, type Page } from './world.ts'

const ALICE = 'alice@b.example'
const ADVANCED = 'openpgpkey.b.example'
const DIRECT = 'b.example'
const LOOPBACK = { A: ['127.0.0.1'] }

describe('the names under which keys stand', () => {
  const { cases } = readVectors<{
    cases: readonly { address: string; dns: string; expect: string }[]
  }>('key-names')
  for (const { address, dns, expect } of cases)
    it(address, () => {
      assert.equal(dnsNameOf('openpgp', address), dns)
      assert.equal(dnsNameOf('smime', address), dns.replace('_openpgpkey', '_smimecert'))
      const domain = address.slice(address.lastIndexOf('@') + 1)
      const { advanced, direct } = webPlacesOf(address)
      assert.deepEqual(direct, { host: domain, path: expect })
      assert.equal(advanced.host, `openpgpkey.${domain}`)
      assert.equal(advanced.path, expect.replace('openpgpkey/', `openpgpkey/${domain}/`))
    })
})

describe('keys of others', () => {
  let world: KeyWorld

  before(async () => {
    world = await startKeyWorld({ hosts: [ADVANCED, DIRECT] })
  })
  after(() => world.close())
  beforeEach(() => world.reset())

  const found = async (
    sources: readonly KeySourceName[] = KEY_SOURCES,
    kind: KeyKind = 'openpgp',
    address = ALICE,
  ): Promise<string[]> =>
    (await world.directory.find(kind, address, sources)).map(
      ({ fingerprint, source, untrusted }) =>
        `${fingerprint} ${source}${untrusted === undefined ? '' : ' untrusted'}`,
    )
  const publish = (key: string, more: object = { authentic: true }): void => {
    world.dns.zone[dnsNameOf('openpgp', ALICE)] = { OPENPGPKEY: [toyBytes(key)], ...more }
  }
  const page = (method: 'advanced' | 'direct', content: string | Page): void => {
    const { host, path } = webPlacesOf(ALICE)[method]
    world.dns.zone[host] = LOOPBACK
    world.pages[`${host}${path.replace(/\?.*$/, '')}`] =
      typeof content === 'string' ? { body: toyBytes(content) } : content
  }
  const certify = (records: readonly string[], authentic = true): void => {
    world.dns.zone[dnsNameOf('smime', ALICE)] = { SMIMEA: records, authentic }
  }
  const isUnreachable = (error: unknown): boolean =>
    error instanceof TempError && error.code === 'keys/unreachable'
  const isServfail = (error: unknown): boolean =>
    error instanceof TempError && error.code === 'dns/servfail'

  it('are those of the best source that has any', async () => {
    assert.deepEqual(await found(), [])
    await world.directory.harvest('openpgp', ALICE, toyBytes(toyKey('aa', ALICE)))
    assert.deepEqual(await found(), ['aa harvested untrusted'])
    world.reset()
    page('direct', toyKey('aa', ALICE))
    assert.deepEqual(await found(), ['aa wkd'])
    publish(toyKey('aa', ALICE))
    world.clock.passMs(3_600_000)
    assert.deepEqual(await found(), ['aa dnssec'])
    assert.deepEqual(await found(['wkd']), ['aa wkd'])
    mkdirSync(join(world.folder, 'openpgp'))
    writeFileSync(join(world.folder, 'openpgp', 'b.example.asc'), toyKey('dd'))
    world.clock.passMs(5_000)
    assert.deepEqual(await found(), ['dd operator'])
    assert.deepEqual(await found(KEY_SOURCES, 'openpgp', 'b.example'), ['dd operator'])
    writeFileSync(join(world.folder, 'openpgp', `${ALICE}.asc`), toyKey('cc'))
    world.clock.passMs(5_000)
    const [key] = await world.directory.find('openpgp', ALICE, KEY_SOURCES)
    assert.deepEqual(
      { ...key, bytes: undefined },
      {
        fingerprint: 'cc',
        addresses: [],
        source: 'operator',
        isOfDomain: false,
        bytes: undefined,
      },
    )
    assert.deepEqual(await found(['dnssec', 'harvested']), ['aa dnssec'])
  })

  it('C19: OPENPGPKEY counts with DNSSEC alone, and a failure is no absence', async () => {
    publish(toyKey('aa', ALICE), { authentic: false })
    assert.deepEqual(await found(), [])
    world.clock.passMs(60_000)
    for (const misbehave of ['servfail', 'drop'] as const) {
      publish(toyKey('aa', ALICE), { authentic: true, misbehave })
      await assert.rejects(found(), TempError)
      world.clock.passMs(10_000)
    }
    publish(toyKey('aa', ALICE))
    assert.deepEqual(await found(), ['aa dnssec'])
    assert.match(
      (await world.directory.find('openpgp', ALICE, ['dnssec']))[0]?.until ?? '',
      /^2026-11-22T.*Z$/,
    )
  })

  describe('of an address that is written with large letters', () => {
    const WRITTEN = 'A.Lice@B.example'
    const NORMAL = 'a.lice@b.example'
    const [asWritten = '', small = ''] = dnsNamesOf('openpgp', NORMAL, WRITTEN)
    const here = (key: string, more: object = {}): object => ({
      OPENPGPKEY: [toyBytes(toyKey(key, NORMAL))],
      authentic: true,
      ...more,
    })
    const look = async (spelling?: string): Promise<string[]> =>
      (await world.directory.find('openpgp', NORMAL, ['dnssec'], spelling)).map(
        ({ fingerprint }) => fingerprint,
      )

    it('stand under the name as it is written', async () => {
      Object.assign(world.dns.zone, { [asWritten]: here('aa') })
      assert.deepEqual(await look(), [])
      assert.deepEqual(await look(WRITTEN), ['aa'])
    })

    it('count before those under the name in small letters', async () => {
      Object.assign(world.dns.zone, { [small]: here('bb') })
      assert.deepEqual(await look(WRITTEN), ['bb'])
      world.reset()
      Object.assign(world.dns.zone, { [small]: here('bb'), [asWritten]: here('aa') })
      assert.deepEqual(await look(WRITTEN), ['aa'])
    })

    it('C19: are unknown while nobody can say what stands under either', async () => {
      const failing = { misbehave: 'servfail' }
      for (const zone of [{ [small]: here('bb'), [asWritten]: failing }, { [small]: failing }]) {
        world.reset()
        Object.assign(world.dns.zone, zone)
        await assert.rejects(look(WRITTEN), isServfail)
      }
      // What is there and not signed is as good as none, and then so is all.
      world.reset()
      Object.assign(world.dns.zone, { [small]: here('bb', { authentic: false }) })
      assert.deepEqual(await look(WRITTEN), [])
    })

    it('are asked for once, however the domain is written', async () => {
      Object.assign(world.dns.zone, { [asWritten]: here('aa') })
      assert.deepEqual(await look(WRITTEN), ['aa'])
      const { length } = world.dns.queries
      assert.deepEqual(await look('A.Lice@b.EXAMPLE'), ['aa'])
      assert.equal(world.dns.queries.length, length)
    })
  })

  it('what is published and is no key of the address is no absence either', async () => {
    const isBroken = (error: unknown): boolean =>
      error instanceof PermError && error.code === 'openpgp/key'
    for (const key of [toyKey('aa', 'mallory@b.example'), 'rubbish']) {
      world.reset()
      publish(key)
      await assert.rejects(found(), isBroken)
      page('advanced', toyKey('aa', ALICE))
      world.clock.passMs(60_000)
      assert.deepEqual(await found(), ['aa wkd'])
    }
    world.reset()
    page('advanced', 'rubbish')
    await assert.rejects(found(), isBroken)
  })

  it('C19: a certificate by SMIMEA counts with DNSSEC alone', async () => {
    const hex = Buffer.from(toyBytes(toyKey('aa', ALICE))).toString('hex')
    certify([`3 0 0 ${hex}`], false)
    assert.deepEqual(await found(KEY_SOURCES, 'smime'), [])
    world.clock.passMs(60_000)
    certify([`3 0 0 ${hex}`])
    assert.deepEqual(await found(KEY_SOURCES, 'smime'), ['aa dnssec'])
    const [key] = await world.directory.find('smime', ALICE, ['dnssec'])
    assert.equal(key?.smimeaUsage, 3)
  })

  it('a certificate of SMIMEA usage 1 must be of the address, an authority’s is none', async () => {
    const hexOf = (key: string): string => Buffer.from(toyBytes(key)).toString('hex')
    const gateway = hexOf(toyKey('aa', 'gateway@b.example'))
    certify([`1 0 0 ${gateway}`])
    await assert.rejects(found(KEY_SOURCES, 'smime'), PermError)
    world.reset()
    certify([`2 0 0 ${gateway}`, `0 0 0 ${gateway}`, `7 0 0 ${gateway}`, `3 9 0 ${gateway}`])
    assert.deepEqual(await found(KEY_SOURCES, 'smime'), [])
    world.reset()
    certify([`3 0 0 ${gateway}`])
    assert.deepEqual(await found(KEY_SOURCES, 'smime'), ['aa dnssec'])
  })

  it('a hash in SMIMEA vouches for the certificate that came with mail, or forbids it', async () => {
    const bytes = toyBytes(toyKey('aa', ALICE))
    const hash = createHash('sha256').update(bytes).digest('hex')
    await world.directory.harvest('smime', ALICE, bytes)
    certify([`3 0 1 ${'00'.repeat(32)}`])
    assert.deepEqual(await found(KEY_SOURCES, 'smime'), [])
    world.clock.passMs(3_600_000)
    certify([`3 0 1 ${'00'.repeat(32)}`, `3 0 1 ${hash}`])
    assert.deepEqual(await found(KEY_SOURCES, 'smime'), ['aa dnssec'])
    certify([`2 0 1 ${hash}`])
    world.clock.passMs(3_600_000)
    assert.deepEqual(await found(KEY_SOURCES, 'smime'), ['aa harvested untrusted'])
  })

  it('C19: on the web are asked for at openpgpkey, and at the domain only where that host is not', async () => {
    page('direct', toyKey('aa', ALICE))
    assert.deepEqual(await found(), ['aa wkd'])
    world.clock.passMs(3_600_000)
    world.dns.zone[ADVANCED] = LOOPBACK
    assert.deepEqual(await found(['wkd']), [])
    assert.deepEqual(
      world.requests.map((line) => line.replace(/\/hu\/.*\?/, '/HU?')),
      [
        'b.example/.well-known/openpgpkey/HU?l=alice',
        'openpgpkey.b.example/.well-known/openpgpkey/b.example/HU?l=alice',
      ],
    )
  })

  for (const [name, content] of [
    ['a redirect', { status: 302, headers: { location: `https://${DIRECT}/` } }],
    ['an error', { status: 500 }],
    ['too much', { body: new Uint8Array(4097) }],
  ] as const)
    it(`C19: ${name} at openpgpkey is a failure, and followed by nothing for ten seconds`, async () => {
      page('advanced', content)
      await assert.rejects(found(), isUnreachable)
      await assert.rejects(found(), isUnreachable)
      assert.equal(world.requests.length, 1)
      page('advanced', toyKey('aa', ALICE))
      world.clock.passMs(10_000)
      assert.deepEqual(await found(), ['aa wkd'])
    })

  it('C19: the certificate of the host must be good for exactly it', async () => {
    const address = 'alice@c.example'
    world.dns.zone['openpgpkey.c.example'] = LOOPBACK
    await assert.rejects(found(['wkd'], 'openpgp', address), isUnreachable)
    // Of a web server that has no certificate for the bare domain nobody says that it has keys.
    delete world.dns.zone['openpgpkey.c.example']
    world.dns.zone['c.example'] = LOOPBACK
    world.clock.passMs(10_000)
    assert.deepEqual(await found(['wkd'], 'openpgp', address), [])
    assert.deepEqual(world.requests, [])
  })

  for (const [name, content] of [
    ['sends all who ask elsewhere', { status: 301, headers: { location: 'https://x.example/' } }],
    ['forbids it', { status: 403 }],
    ['has a page for everything', { body: toyBytes('<html>') }],
  ] as const)
    it(`a web server of the domain that ${name} has no keys`, async () => {
      page('direct', content)
      assert.deepEqual(await found(['wkd']), [])
    })

  it('one that is ill is a failure', async () => {
    page('direct', { status: 503 })
    await assert.rejects(found(['wkd']), isUnreachable)
    world.reset()
    world.dns.zone[ADVANCED] = { misbehave: 'servfail' }
    await assert.rejects(found(['wkd']), isUnreachable)
  })

  it('C19: are remembered for their time, and that there are none no longer than that', async () => {
    page('advanced', {
      body: toyBytes(toyKey('aa', ALICE)),
      headers: { 'cache-control': 'max-age=600' },
    })
    publish('', { OPENPGPKEY: [] })
    const asked = async (): Promise<number> => {
      const before = world.requests.length + world.dns.queries.length
      await found()
      return world.requests.length + world.dns.queries.length - before
    }
    assert.ok((await asked()) > 0)
    assert.equal(await asked(), 0)
    world.clock.passMs(61_000)
    await found()
    assert.equal(world.requests.length, 1) // DNS is asked again, the web server is not
    world.clock.passMs(540_000)
    await found()
    assert.equal(world.requests.length, 2)
  })

  it('are asked for once by all who want them at once', async () => {
    page('advanced', toyKey('aa', ALICE))
    await Promise.all(Array.from({ length: 20 }, () => found()))
    assert.equal(world.requests.length, 1)
    assert.equal(world.dns.queries.filter(({ type }) => type === 'UNKNOWN_61').length, 1)
  })

  it('a name that no DNS can hold has none', async () => {
    const address = `alice@${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example`
    assert.deepEqual(await found(['dnssec'], 'openpgp', address), [])
  })

  it('a survey tells of each source by itself, and pins nothing', async () => {
    publish(toyKey('aa', ALICE), { authentic: true, misbehave: 'servfail' })
    page('advanced', toyKey('bb', ALICE))
    await world.directory.harvest('openpgp', ALICE, toyBytes(toyKey('cc', ALICE)))
    const reports = await world.directory.survey('openpgp', ALICE, ['dnssec', 'wkd', 'harvested'])
    assert.deepEqual(
      reports.map((one) => [
        one.source,
        one.status,
        one.status === 'found' && one.keys[0]?.fingerprint,
      ]),
      [
        ['dnssec', 'unknown', false],
        ['wkd', 'found', 'bb'],
        ['harvested', 'found', 'cc'],
      ],
    )
    assert.deepEqual(await world.directory.pins(), [])
    await assert.rejects(found(), isServfail)
  })
})
