import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { createHostFinder } from '../../lib/dane/find.ts'
import type { HostOutcome } from '../../lib/dane/outcome.ts'
import { formatTlsa } from '../../lib/dane/tlsa.ts'
import { createResolver } from '../../lib/dns/resolver.ts'
import { TempError } from '../../lib/errors.ts'
import { startDnsServer, type DnsServer, type Zone } from '../support/dns-server.ts'

const HOST = 'mx.example.com'
const DIGEST = 'ab'.repeat(32)
const GOOD = `3 1 1 ${DIGEST}`
const OTHER = `3 1 1 ${'cd'.repeat(32)}`
const ADDRESS = '192.0.2.1'
const owner = (name: string, port = 25): string => `_${port}._tcp.${name}`

const SECURE = { A: [ADDRESS], authentic: true } as const
const TLSA = { TLSA: [GOOD], authentic: true } as const

interface Found {
  readonly outcome: HostOutcome
  /** `A mx.example.com` and so on, each once. */
  readonly asked: readonly string[]
}

async function find(
  t: TestContext,
  zone: Zone,
  { host = HOST, port = 25, isOn = async () => true, trusted = true } = {},
): Promise<Found> {
  const server = await startDnsServer(zone)
  t.after(() => server.close())
  const finder = createHostFinder({ resolver: resolverOf(server, trusted), isOn })
  const outcome = await finder.find(host, port)
  const asked = server.queries.map(({ type, name }) => `${type} ${name}`)
  return { outcome, asked: [...new Set(asked)].sort() }
}

const resolverOf = ({ address, port }: DnsServer, trusted = true) =>
  createResolver({ servers: [{ address, port, trusted }], timeoutMs: 500, tries: 3 })

/** Of what was found the part that is about DANE, as one line. */
function line({ outcome }: Found): string {
  if (outcome.status !== 'reachable') return outcome.status
  const { dane } = outcome
  if (dane.status === 'usable')
    return `usable at ${dane.baseDomain}: ${dane.usable.map(formatTlsa).join(', ')}`
  return dane.status === 'unusable' ? `unusable at ${dane.baseDomain}` : dane.status
}

describe('what DNS says of a host', () => {
  it('D5, D15: secure records at the port and name of the host can be used', async (t) => {
    const found = await find(t, { [HOST]: SECURE, [owner(HOST)]: TLSA })
    assert.equal(line(found), `usable at ${HOST}: ${GOOD}`)
    assert.deepEqual(found.outcome.status === 'reachable' && found.outcome.addresses, [ADDRESS])
    assert.deepEqual(found.asked, [`A ${HOST}`, `AAAA ${HOST}`, `TLSA ${owner(HOST)}`])
  })

  it('D15: another port has records of its own', async (t) => {
    const zone = { [HOST]: SECURE, [owner(HOST)]: TLSA }
    assert.equal(line(await find(t, zone, { port: 2525 })), 'none')
  })

  it('addresses of both families are found', async (t) => {
    const { outcome } = await find(t, { [HOST]: { ...SECURE, AAAA: ['2001:db8::1'] } })
    assert.deepEqual(outcome.status === 'reachable' && outcome.addresses, [ADDRESS, '2001:db8::1'])
  })

  it('a final dot and capitals make no difference', async (t) => {
    const zone = { [HOST]: SECURE, [owner(HOST)]: TLSA }
    assert.equal(
      line(await find(t, zone, { host: 'MX.Example.COM.' })),
      `usable at ${HOST}: ${GOOD}`,
    )
  })

  it('D6: secure records of which none can be used are there all the same', async (t) => {
    const zone = {
      [HOST]: SECURE,
      [owner(HOST)]: { ...TLSA, TLSA: [`1 1 1 ${DIGEST}`, '3 1 1 00'] },
    }
    assert.equal(line(await find(t, zone)), `unusable at ${HOST}`)
  })

  it('D7: TLSA records that are not signed are none', async (t) => {
    const zone = { [HOST]: SECURE, [owner(HOST)]: { TLSA: [GOOD], authentic: false } }
    assert.equal(line(await find(t, zone)), 'none')
  })

  it('D7: a proof that there are no TLSA records is absence', async (t) => {
    assert.equal(line(await find(t, { [HOST]: SECURE })), 'none')
    const empty = { [HOST]: SECURE, [owner(HOST)]: { TXT: ['x'], authentic: true } }
    assert.equal(line(await find(t, empty)), 'none')
  })

  it('D11: it is all the same how the host was found', async (t) => {
    const zone = {
      'example.com': { MX: [`10 ${HOST}`], authentic: false },
      [HOST]: SECURE,
      [owner(HOST)]: TLSA,
    }
    assert.equal(line(await find(t, zone)), `usable at ${HOST}: ${GOOD}`)
  })

  it('D13: a name that is no MX has its DANE under its own name', async (t) => {
    const zone = { 'relay.example.net': SECURE, [owner('relay.example.net', 587)]: TLSA }
    const found = await find(t, zone, { host: 'relay.example.net', port: 587 })
    assert.equal(line(found), `usable at relay.example.net: ${GOOD}`)
  })
})

describe('addresses before TLSA', () => {
  it('D14: without signed addresses nobody is asked for TLSA, whatever would come of it', async (t) => {
    const zone = {
      [HOST]: { A: [ADDRESS], authentic: false },
      [owner(HOST)]: { misbehave: 'servfail' },
    } as const
    const found = await find(t, zone)
    assert.equal(line(found), 'none')
    assert.deepEqual(found.asked, [`A ${HOST}`, `AAAA ${HOST}`])
  })

  it('D14: the same where the TLSA record itself is signed', async (t) => {
    const zone = { [HOST]: { A: [ADDRESS], authentic: false }, [owner(HOST)]: TLSA }
    assert.equal(line(await find(t, zone)), 'none')
  })

  for (const misbehave of ['servfail', 'refused', 'drop', 'broken'] as const)
    it(`D1, D2: where the addresses cannot be had (${misbehave}) the host is not used`, async (t) => {
      const found = await find(t, { [HOST]: { ...SECURE, misbehave }, [owner(HOST)]: TLSA })
      assert.equal(found.outcome.status, 'unknown')
      assert.deepEqual(found.asked, [`A ${HOST}`, `AAAA ${HOST}`])
    })

  it('D2: an error of one family is no absence where the other has nothing', async (t) => {
    const found = await find(t, {}, { isOn: async () => true })
    assert.equal(found.outcome.status, 'no-address')
    const server = await startDnsServer({ [HOST]: { authentic: true } })
    t.after(() => server.close())
    const resolver = failing(resolverOf(server), 'AAAA')
    const outcome = await createHostFinder({ resolver, isOn: async () => true }).find(HOST, 25)
    assert.equal(outcome.status, 'unknown')
  })

  it('D2: an error of one family leaves the other as it is, DANE included', async (t) => {
    const server = await startDnsServer({ [HOST]: SECURE, [owner(HOST)]: TLSA })
    t.after(() => server.close())
    const resolver = failing(resolverOf(server), 'AAAA')
    const outcome = await createHostFinder({ resolver, isOn: async () => true }).find(HOST, 25)
    assert.equal(line({ outcome, asked: [] }), `usable at ${HOST}: ${GOOD}`)
  })

  it('a host that does not exist, and one without addresses, have none', async (t) => {
    assert.equal((await find(t, {})).outcome.status, 'no-address')
    assert.equal((await find(t, { [HOST]: { TXT: ['x'] } })).outcome.status, 'no-address')
  })

  it('a name that DNS cannot hold is not used', async (t) => {
    const found = await find(t, {}, { host: 'no host' })
    assert.equal(found.outcome.status, 'unknown')
    assert.deepEqual(found.asked, [])
  })
})

describe('errors about TLSA', () => {
  for (const misbehave of ['servfail', 'refused', 'drop', 'broken', 'referral'] as const)
    it(`D1, D3: ${misbehave} is not absence`, async (t) => {
      const found = await find(t, { [HOST]: SECURE, [owner(HOST)]: { ...TLSA, misbehave } })
      assert.equal(line(found), 'failed')
    })

  it('D3: an error at the alias’s target is no reason to go on with the host’s own name', async (t) => {
    const found = await find(t, {
      [HOST]: { CNAME: 'target.example', authentic: true },
      'target.example': SECURE,
      [owner('target.example')]: { ...TLSA, misbehave: 'servfail' },
      [owner(HOST)]: { ...TLSA, TLSA: [OTHER] },
    })
    assert.equal(line(found), 'failed')
  })
})

describe('aliases', () => {
  const alias = { CNAME: 'target.example', authentic: true } as const

  it('D16: a secure alias of a secure target: the target is the base', async (t) => {
    const found = await find(t, {
      [HOST]: alias,
      'target.example': SECURE,
      [owner('target.example')]: TLSA,
      [owner(HOST)]: { ...TLSA, TLSA: [OTHER] },
    })
    assert.equal(line(found), `usable at target.example: ${GOOD}`)
  })

  it('D16: where the target has no records, the host’s own name is next', async (t) => {
    const found = await find(t, { [HOST]: alias, 'target.example': SECURE, [owner(HOST)]: TLSA })
    assert.equal(line(found), `usable at ${HOST}: ${GOOD}`)
  })

  it('D16: the same where those of the target are not signed', async (t) => {
    const found = await find(t, {
      [HOST]: alias,
      'target.example': SECURE,
      [owner('target.example')]: { TLSA: [OTHER], authentic: false },
      [owner(HOST)]: TLSA,
    })
    assert.equal(line(found), `usable at ${HOST}: ${GOOD}`)
  })

  it('D16: of several secure aliases the end of the chain is the base', async (t) => {
    const found = await find(t, {
      [HOST]: { CNAME: 'between.example', authentic: true },
      'between.example': alias,
      'target.example': SECURE,
      [owner('between.example')]: { ...TLSA, TLSA: [OTHER] },
      [owner('target.example')]: TLSA,
    })
    assert.equal(line(found), `usable at target.example: ${GOOD}`)
  })

  it('D17: a secure alias of an insecure target: the host’s own name is the base', async (t) => {
    const found = await find(t, {
      [HOST]: alias,
      'target.example': { A: [ADDRESS], authentic: false },
      [owner('target.example')]: { ...TLSA, TLSA: [OTHER] },
      [owner(HOST)]: TLSA,
    })
    assert.equal(line(found), `usable at ${HOST}: ${GOOD}`)
    assert.ok(found.asked.includes(`CNAME ${HOST}`))
    assert.ok(!found.asked.includes(`TLSA ${owner('target.example')}`))
  })

  it('D17: an insecure alias: no DANE, and no question about it', async (t) => {
    const found = await find(t, {
      [HOST]: { ...alias, authentic: false },
      'target.example': SECURE,
      [owner('target.example')]: TLSA,
      [owner(HOST)]: TLSA,
    })
    assert.equal(line(found), 'none')
    assert.deepEqual(
      found.asked.filter((text) => text.startsWith('TLSA')),
      [],
    )
  })

  it('D3, D17: whether an alias is secure must be known', async (t) => {
    const server = await startDnsServer({
      [HOST]: alias,
      'target.example': { A: [ADDRESS], authentic: false },
    })
    t.after(() => server.close())
    const resolver = failing(resolverOf(server), 'CNAME')
    const outcome = await createHostFinder({ resolver, isOn: async () => true }).find(HOST, 25)
    assert.equal(line({ outcome, asked: [] }), 'failed')
  })

  it('D18: aliases of the TLSA name are followed, and the base stays', async (t) => {
    const found = await find(t, {
      [HOST]: SECURE,
      [owner(HOST)]: { CNAME: 'tlsa.example', authentic: true },
      'tlsa.example': TLSA,
    })
    assert.equal(line(found), `usable at ${HOST}: ${GOOD}`)
  })

  it('D18: an alias of the TLSA name that is not signed, or leads to what is not, is none', async (t) => {
    for (const [one, other] of [
      [true, false],
      [false, true],
    ] as const) {
      const found = await find(t, {
        [HOST]: SECURE,
        [owner(HOST)]: { CNAME: 'tlsa.example', authentic: one },
        'tlsa.example': { ...TLSA, authentic: other },
      })
      assert.equal(line(found), 'none')
    }
  })
})

describe('DANE that is off, or may be', () => {
  const zone = { [HOST]: SECURE, [owner(HOST)]: TLSA }

  it('D4: the AD bit of a server that is not trusted counts for nothing', async (t) => {
    assert.equal(line(await find(t, zone, { trusted: false })), 'none')
  })

  it('D4, D31: where it is off, addresses alone are asked for', async (t) => {
    const found = await find(t, zone, { isOn: async () => false })
    assert.equal(line(found), 'none')
    assert.deepEqual(found.asked, [`A ${HOST}`, `AAAA ${HOST}`])
  })

  it('D4: where nobody knows whether it is on, the host is not used', async (t) => {
    const isOn = async (): Promise<boolean> => {
      throw new TempError('dns/timeout', 'no answer')
    }
    const { outcome } = await find(t, zone, { isOn })
    assert.deepEqual(outcome, { status: 'unknown', reason: 'no answer' })
  })

  it('an address is what it is, and DNS is not asked', async (t) => {
    for (const host of [ADDRESS, '2001:db8::1']) {
      const found = await find(t, zone, { host })
      assert.equal(line(found), 'none')
      assert.deepEqual(found.outcome.status === 'reachable' && found.outcome.addresses, [host])
      assert.deepEqual(found.asked, [])
    }
  })

  it('rejects with the signal’s reason', async (t) => {
    const server = await startDnsServer({ [HOST]: { ...SECURE, misbehave: 'drop' } })
    t.after(() => server.close())
    const finder = createHostFinder({ resolver: resolverOf(server), isOn: async () => true })
    const controller = new AbortController()
    const finding = finder.find(HOST, 25, controller.signal)
    const reason = new Error('enough')
    controller.abort(reason)
    await assert.rejects(finding, (error) => error === reason)
    await assert.rejects(finder.find(HOST, 25, controller.signal), (error) => error === reason)
  })
})

/** A resolver to which one type of record is unknown. */
function failing(
  resolver: ReturnType<typeof createResolver>,
  unknown: 'AAAA' | 'CNAME',
): ReturnType<typeof createResolver> {
  return {
    async resolve(name, type, signal) {
      if (type === unknown) throw new TempError('dns/servfail', 'bogus')
      return resolver.resolve(name, type, signal)
    },
  }
}
