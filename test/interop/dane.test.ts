// DANE's discovery as the world has it: zones signed by ldns, served by nsd, validated by unbound, asked by us.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { systemClock } from '../../lib/clock.ts'
import { createHostFinder } from '../../lib/dane/find.ts'
import type { HostFinder } from '../../lib/dane/outcome.ts'
import { createCachingResolver } from '../../lib/dns/caching.ts'
import { createDnssecProbe, type DnssecProbe } from '../../lib/dns/probe.ts'
import { createResolver } from '../../lib/dns/resolver.ts'
import { makeAuthority, type Authority, type Credentials } from '../support/authority.ts'
import { nsdMissing, startNsd, type Nsd } from '../support/nsd.ts'
import { makeSignedZones } from '../support/signed-zones.ts'
import { startUnbound, unboundMissing, type Unbound } from '../support/unbound.ts'

const DIGEST = 'ab'.repeat(32)
const TLSA = `TLSA 3 1 1 ${DIGEST}`
const HOST = ['mx A 192.0.2.1', `_25._tcp.mx ${TLSA}`]

function makeZones() {
  return makeSignedZones({
    good: {
      signed: 'signed',
      lines: [
        ...HOST,
        'plain A 192.0.2.1',
        'alias CNAME mx',
        'own CNAME plain',
        `_25._tcp.own ${TLSA}`,
        'away CNAME mx.insecure.example.',
        `_25._tcp.away ${TLSA}`,
        'lost CNAME mx.bogus-address.example.',
        'shared A 192.0.2.1',
        '_25._tcp.shared CNAME _25._tcp.mx',
        'stray A 192.0.2.1',
        '_25._tcp.stray CNAME _25._tcp.mx.insecure.example.',
        'old A 192.0.2.1',
        `_25._tcp.old TLSA 1 1 1 ${DIGEST}`,
        'wild A 192.0.2.1',
        `*.wild ${TLSA}`,
        'none TXT "x"',
      ],
    },
    insecure: { signed: 'unsigned', lines: [...HOST, 'alias CNAME mx.good.example.'] },
    expired: { signed: 'expired', lines: HOST },
    'bogus-address': { signed: 'signed', lines: HOST, forge: ['192.0.2.1', '192.0.2.9'] },
    'bogus-tlsa': { signed: 'signed', lines: HOST, forge: ['abab', 'cdab'] },
  })
}

/** Host to what is found. */
const EXPECTED: readonly (readonly [title: string, host: string, expect: string])[] = [
  ['D5: secure addresses and records', 'mx.good', 'usable mx.good.example'],
  ['D7: a proof that there are no records', 'plain.good', 'none'],
  ['D6: records that cannot be used', 'old.good', 'unusable old.good.example'],
  ['D7, D14: a zone that is not signed', 'mx.insecure', 'none'],
  ['D1, D2: signatures that have expired', 'mx.expired', 'unknown'],
  ['D1, D2: an address that was forged', 'mx.bogus-address', 'unknown'],
  ['D1, D3: a record that was forged', 'mx.bogus-tlsa', 'failed'],
  ['D16: a secure alias of a secure target', 'alias.good', 'usable mx.good.example'],
  ['D16: a secure alias, and records at its own name', 'own.good', 'usable own.good.example'],
  ['D17: a secure alias of an insecure target', 'away.good', 'usable away.good.example'],
  ['D17: an insecure alias of a secure target', 'alias.insecure', 'none'],
  ['D1, D2: an alias of what was forged', 'lost.good', 'unknown'],
  ['D18: an alias of the records', 'shared.good', 'usable shared.good.example'],
  ['D18: an alias of records that are not signed', 'stray.good', 'none'],
  ['D15: records by a wildcard', 'wild.good', 'usable wild.good.example'],
  ['a host without addresses', 'none.good', 'no-address'],
  ['a host that does not exist', 'nobody.good', 'no-address'],
]

describe('DANE by nsd and unbound', { skip: nsdMissing || unboundMissing }, () => {
  let authority: Authority
  let nsd: Nsd
  let validating: Unbound
  let careless: Unbound

  before(async () => {
    const { zones, anchor } = makeZones()
    authority = makeAuthority()
    const credentials: Credentials = authority.issue('dns.test.example')
    nsd = await startNsd(zones)
    const options = { stubs: Object.keys(zones), stubPort: nsd.port, credentials }
    validating = await startUnbound({ ...options, trustAnchors: [anchor] })
    careless = await startUnbound({ ...options, trustAnchors: [] })
  })
  after(async () => {
    await Promise.all([validating?.close(), careless?.close()])
    await nsd?.close()
    authority?.close()
  })

  function world(ports: readonly number[], trusted: 'trusted' | 'untrusted' = 'trusted') {
    const servers = ports.map((port) => ({
      address: '127.0.0.1',
      port,
      trusted: trusted === 'trusted',
    }))
    const way = { servers, timeoutMs: 3000, tries: 2 }
    const probe: DnssecProbe = createDnssecProbe({ ...way, clock: systemClock, name: 'example' })
    const resolver = createCachingResolver({
      resolver: createResolver(way),
      clock: systemClock,
      maxEntries: 100,
    })
    const isOn = async (signal?: AbortSignal): Promise<boolean> =>
      (await probe.check(signal)) === 'validates'
    return { probe, finder: createHostFinder({ resolver, isOn }) }
  }

  for (const [title, host, expect] of EXPECTED)
    it(`${title}: ${expect}`, async () => {
      const { finder } = world([validating.port])
      assert.equal(await found(finder, `${host}.example`), expect)
      assert.equal(await found(finder, `${host}.example`), expect) // from memory too
    })

  it('D4: a resolver that validates is known as one, by what is there and by what is not', async () => {
    assert.equal(await world([validating.port]).probe.check(), 'validates')
  })

  it('D4: a resolver that does not validate switches DANE off', async () => {
    const { probe, finder } = world([careless.port])
    assert.equal(await probe.check(), 'does-not-validate')
    assert.equal(await found(finder, 'mx.good.example'), 'none')
    assert.equal(await found(finder, 'mx.bogus-address.example'), 'none')
  })

  it('D4: a second resolver that does not validate switches it off, instead of undoing the first', async () => {
    const { probe } = world([validating.port, careless.port])
    assert.equal(await probe.check(), 'does-not-validate')
  })

  it('D4: the AD bit is nothing where the way to the resolver is not safe', async () => {
    const { probe, finder } = world([validating.port], 'untrusted')
    assert.equal(await probe.check(), 'untrusted')
    assert.equal(await found(finder, 'mx.good.example'), 'none')
  })
})

async function found(finder: HostFinder, host: string): Promise<string> {
  const outcome = await finder.find(host, 25)
  if (outcome.status !== 'reachable') return outcome.status
  const { dane } = outcome
  return 'baseDomain' in dane ? `${dane.status} ${dane.baseDomain}` : dane.status
}
