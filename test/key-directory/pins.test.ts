import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import fc from 'fast-check'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { PermError, TempError } from '../../lib/errors.ts'
import { formatHeld, parseHeld, type Held } from '../../lib/key-directory/finding.ts'
import { createHarvest } from '../../lib/key-directory/harvest.ts'
import { dnsNameOf, webPlacesOf } from '../../lib/key-directory/names.ts'
import { formatPin, parsePin, type Pin } from '../../lib/key-directory/pins.ts'
import { KEY_SOURCES, type KeySourceName } from '../../lib/mail/correspondent-keys.ts'
import { fakeClock } from '../ibe/fake-clock.ts'
import { toyBytes, toyFormat, toyKey } from './toy-format.ts'
import { startKeyWorld, type KeyWorld } from './world.ts'

const ALICE = 'alice@b.example'
const ADVANCED = 'openpgpkey.b.example'
const DAY_MS = 86_400_000
const PINNED = { kind: 'openpgp', address: ALICE } as const

describe('a key that is pinned', () => {
  let world: KeyWorld

  before(async () => {
    world = await startKeyWorld({ hosts: [ADVANCED] })
  })
  after(() => world.close())
  beforeEach(() => world.reset())

  /** A day later, when nothing is in the cache any more. */
  const found = async (
    directory = world.directory,
    sources: readonly KeySourceName[] = KEY_SOURCES,
  ): Promise<string[]> => {
    world.clock.passMs(DAY_MS)
    const keys = await directory.find('openpgp', ALICE, sources)
    return keys.map(
      ({ fingerprint, source, untrusted }) =>
        `${fingerprint} ${source}${untrusted === undefined ? '' : ' untrusted'}`,
    )
  }
  const sign = (...keys: string[]): void => {
    world.dns.zone[dnsNameOf('openpgp', ALICE)] = {
      OPENPGPKEY: keys.map((key) => toyBytes(key)),
      authentic: true,
    }
  }
  const serve = (...keys: string[]): void => {
    const { host, path } = webPlacesOf(ALICE).advanced
    world.dns.zone[host] = { A: ['127.0.0.1'] }
    world.pages[`${host}${path.replace(/\?.*$/, '')}`] = { body: toyBytes(...keys) }
  }
  const arrive = (key: string): Promise<void> =>
    world.directory.harvest('openpgp', ALICE, toyBytes(key))

  it('C19: another one in its place waits for the operator, the pinned one stays in use, and the log says so once', async () => {
    serve(toyKey('aa', ALICE))
    assert.deepEqual(await found(), ['aa wkd'])
    serve(toyKey('bb', ALICE))
    for (let day = 0; day < 3; day += 1) assert.deepEqual(await found(), ['aa wkd untrusted'])
    assert.deepEqual(await found(world.another()), ['aa wkd untrusted'])
    assert.deepEqual(world.log, [
      `warn ${ALICE}: wkd has another key, bb; aa stays in use (hisho keys accept)`,
    ])
    await assert.rejects(world.directory.accept(PINNED, 'cc'), PermError)
    await world.directory.accept(PINNED, 'BB')
    assert.deepEqual(await found(), ['bb wkd'])
    assert.deepEqual(await found(world.another()), ['bb wkd'])
  })

  it('C19: DNSSEC is no reason to believe another one', async () => {
    serve(toyKey('aa', ALICE))
    await found()
    sign(toyKey('bb', ALICE))
    assert.deepEqual(await found(), ['aa wkd untrusted'])
    const pin = await world.directory.pinned(PINNED)
    assert.deepEqual(
      pin?.pending.map(({ key, source }) => [key.fingerprint, source]),
      [['bb', 'dnssec']],
    )
  })

  it('beside others is the only one that is used', async () => {
    serve(toyKey('aa', ALICE))
    await found()
    serve(toyKey('bb', ALICE), toyKey('aa', ALICE))
    assert.deepEqual(await found(), ['aa wkd'])
    assert.equal(world.log.length, 1)
  })

  it('may be renewed: the same key with another end is no other key', async () => {
    serve(toyKey('aa', ALICE, '2026-12-01T00:00:00Z'))
    assert.deepEqual(await found(), ['aa wkd'])
    serve(toyKey('aa', ALICE, '2028-12-01T00:00:00Z'))
    assert.deepEqual(await found(), ['aa wkd'])
    assert.equal((await world.directory.pinned(PINNED))?.keys[0]?.expires, '2028-12-01T00:00:00Z')
    assert.deepEqual(world.log, [])
  })

  it('may get another certificate for the same key pair', async () => {
    serve(toyKey('aa/1', ALICE))
    await found()
    serve(toyKey('aa/2', ALICE))
    assert.deepEqual(await found(), ['aa/2 wkd'])
    serve(toyKey('ab/3', ALICE))
    assert.deepEqual(await found(), ['aa/2 wkd untrusted'])
  })

  it('and is over leaves the other one, marked', async () => {
    const end = new Date(world.clock.nowMs() + 2.5 * DAY_MS).toISOString()
    serve(toyKey('aa', ALICE, end))
    await found()
    serve(toyKey('bb', ALICE))
    assert.deepEqual(await found(), ['aa wkd untrusted'])
    assert.deepEqual(await found(), ['bb wkd untrusted'])
  })

  it('C19: stays in use, marked, where nothing proves that it is gone', async () => {
    serve(toyKey('aa', ALICE))
    await found()
    delete world.dns.zone[ADVANCED] // whoever forges DNS can do this
    assert.deepEqual(await found(), ['aa wkd untrusted'])
    world.dns.zone[ADVANCED] = { A: ['127.0.0.1'] }
    for (const name of Object.keys(world.pages)) delete world.pages[name]
    assert.deepEqual(await found(), []) // the host itself says so
    assert.deepEqual(await found(world.directory, ['dnssec']), [])
  })

  it('C19: DNSSEC can prove that it is gone, plain DNS cannot', async () => {
    sign(toyKey('aa', ALICE))
    assert.deepEqual(await found(), ['aa dnssec'])
    world.dns.zone[dnsNameOf('openpgp', ALICE)] = { authentic: false }
    assert.deepEqual(await found(), ['aa dnssec untrusted'])
    world.dns.zone[dnsNameOf('openpgp', ALICE)] = { authentic: true }
    assert.deepEqual(await found(), [])
  })

  it('C19: one that came with mail is never trusted, and gives way to one that is vouched for', async () => {
    await arrive(toyKey('ee', ALICE))
    assert.deepEqual(await found(), ['ee harvested untrusted'])
    await arrive(toyKey('ff', ALICE))
    assert.deepEqual(await found(), ['ee harvested untrusted'])
    serve(toyKey('aa', ALICE))
    assert.deepEqual(await found(), ['aa wkd'])
    await arrive(toyKey('gg', ALICE))
    delete world.dns.zone[ADVANCED]
    assert.deepEqual(await found(), ['aa wkd untrusted'])
  })

  it('one that came with mail is trusted when the operator says so', async () => {
    await arrive(toyKey('ee', ALICE))
    await world.directory.accept(PINNED, 'ee')
    assert.deepEqual(await found(), ['ee operator'])
    world.clock.passMs(400 * DAY_MS)
    assert.deepEqual(await found(), ['ee operator'])
    serve(toyKey('aa', ALICE))
    assert.deepEqual(await found(), ['ee harvested untrusted'])
  })

  it('is forgotten when the operator says so', async () => {
    serve(toyKey('aa', ALICE))
    await found()
    await arrive(toyKey('ee', ALICE))
    assert.deepEqual(await world.directory.pins(), [PINNED])
    serve(toyKey('bb', ALICE))
    await world.directory.forget(PINNED)
    assert.deepEqual(await world.directory.pins(), [])
    assert.deepEqual(
      (await world.directory.find('openpgp', ALICE, KEY_SOURCES)).map((key) => key.fingerprint),
      ['bb'],
    )
    assert.deepEqual(await world.directory.find('openpgp', ALICE, ['harvested']), [])
  })

  it('is the one that the fastest of several processes has seen', async () => {
    serve(toyKey('aa', ALICE))
    const all = [world.another(), world.another(), world.another()]
    assert.deepEqual(await Promise.all(all.map((one) => found(one))), [
      ['aa wkd'],
      ['aa wkd'],
      ['aa wkd'],
    ])
  })
})

describe('what came with mail', () => {
  const OPENPGP = toyFormat('openpgp')
  const keep = (maxAddresses: number) => {
    const clock = fakeClock()
    const log: string[] = []
    const harvest = createHarvest({
      store: createMemoryCache({ clock, maxEntries: 100 }),
      clock,
      maxAddresses,
      log: (level, message) => log.push(`${level} ${message}`),
    })
    return { harvest, clock, log }
  }
  const statusOf = async (harvest: ReturnType<typeof createHarvest>, address: string) =>
    (await harvest.find(OPENPGP, address)).finding.status

  it('is bounded in number and size, and must be of the address', async () => {
    const { harvest, log } = keep(2)
    for (const name of ['a', 'b', 'c'])
      await harvest.keep(OPENPGP, `${name}@x.example`, toyBytes(toyKey(name, `${name}@x.example`)))
    assert.equal(await statusOf(harvest, 'b@x.example'), 'found')
    assert.equal(await statusOf(harvest, 'c@x.example'), 'none')
    assert.equal(log.length, 2)
    await harvest.keep(OPENPGP, 'a@x.example', toyBytes(toyKey('aa', 'a@x.example')))
    assert.equal(log.length, 3) // who is there may change
    const other = toyBytes(toyKey('bb', 'b@x.example'))
    await assert.rejects(harvest.keep(OPENPGP, 'a@x.example', other), PermError)
    const long = toyBytes(toyKey('a'.repeat(33_000), 'a@x.example'))
    await assert.rejects(harvest.keep(OPENPGP, 'a@x.example', long), PermError)
  })

  it('is forgotten a year after it came last', async () => {
    const { harvest, clock } = keep(10)
    const bytes = toyBytes(toyKey('a', 'a@x.example'))
    await harvest.keep(OPENPGP, 'a@x.example', bytes)
    clock.passMs(300 * DAY_MS)
    await harvest.keep(OPENPGP, 'a@x.example', bytes)
    clock.passMs(300 * DAY_MS)
    assert.equal(await statusOf(harvest, 'a@x.example'), 'found')
    clock.passMs(70 * DAY_MS)
    assert.equal(await statusOf(harvest, 'a@x.example'), 'none')
  })
})

describe('what is remembered of keys', () => {
  const key = fc.record(
    {
      fingerprint: fc.string(),
      bytes: fc.uint8Array(),
      addresses: fc.array(fc.string()),
      lasting: fc.string(),
      expires: fc.string(),
      smimeaUsage: fc.constantFrom(1 as const, 3 as const),
    },
    { requiredKeys: ['fingerprint', 'bytes', 'addresses'], noNullPrototype: true },
  )
  const octet = fc.integer({ min: 0, max: 255 })
  const record = fc.record(
    { usage: octet, selector: octet, matchingType: octet, certificate: fc.uint8Array() },
    { noNullPrototype: true },
  )
  const none = fc.record(
    {
      status: fc.constant('none' as const),
      authentic: fc.boolean(),
      constraints: fc.array(record),
    },
    { requiredKeys: ['status', 'authentic'], noNullPrototype: true },
  )

  it('is read as it was written', () => {
    const finding = fc.oneof(
      fc.array(key).map((keys) => ({ status: 'found' as const, keys })),
      none,
      fc.string().map((reason) => ({ status: 'unusable' as const, reason })),
    )
    fc.assert(
      fc.property(fc.nat(), finding, (untilMs, one) => {
        const held: Held = { untilMs, finding: one }
        assert.deepEqual(parseHeld(formatHeld(held)), held)
      }),
    )
    const source = fc.constantFrom('dnssec' as const, 'wkd' as const, 'harvested' as const)
    fc.assert(
      fc.property(source, fc.boolean(), fc.array(key, { minLength: 1 }), (from, accepted, keys) => {
        const pending = keys.map((one) => ({ key: one, source: from, since: 'then' }))
        const pin: Pin = { source: from, since: 'now', accepted, keys, pending }
        assert.deepEqual(parsePin(ALICE, formatPin(pin)), pin)
      }),
    )
  })

  it('is no key where it is rubbish: of the cache as good as nothing, of the memory a failure', () => {
    const isDamage = (error: unknown): boolean =>
      error instanceof TempError && error.code === 'cache/malformed'
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        assert.equal(parseHeld(text), undefined)
        assert.throws(() => parsePin(ALICE, text), isDamage)
      }),
    )
  })
})
