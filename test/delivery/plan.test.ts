import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { HostFinder, HostOutcome } from '../../lib/dane/outcome.ts'
import type { Order } from '../../lib/delivery/order.ts'
import { createPlanner, type Planner } from '../../lib/delivery/plan.ts'
import { createResolver } from '../../lib/dns/resolver.ts'
import { TempError } from '../../lib/errors.ts'
import type { StsOutcome } from '../../lib/mta-sts/outcome.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'

const REACHABLE: HostOutcome = {
  status: 'reachable',
  addresses: ['192.0.2.1'],
  dane: { status: 'none', reason: 'not signed' },
}

const ORDER: Order = {
  domain: 'b.example',
  route: undefined,
  transport: 'policy',
  floor: 'none',
  contentIsEncrypted: false,
  requireTls: false,
  tlsRequiredNo: false,
}

function policy(mx: string, failure?: 'sts-policy-fetch-error'): StsOutcome {
  return {
    status: 'found',
    id: '1',
    policy: { mode: 'enforce', maxAgeSeconds: 86_400, mx: [mx], lines: [] },
    failure: failure && { resultType: failure, reason: 'the policy host is silent' },
  }
}

describe('the plan for a delivery', () => {
  let dns: DnsServer
  let hosts: Record<string, HostOutcome> = {}
  let policies: Record<string, StsOutcome | TempError> = {}
  const looked: [string, number][] = []
  let planner: Planner

  before(async () => {
    dns = await startDnsServer({
      'b.example': { MX: ['20 mx2.b.example', '10 MX1.b.example', '30 mx3.b.example'] },
      'signed.example': { MX: ['10 mx.signed.example'], authentic: true },
      'null.example': { MX: ['0 .'] },
      'signed-null.example': { MX: ['0 .'], authentic: true },
      'implicit.example': { A: ['192.0.2.9'] },
      'gone.example': { TXT: ['no mail here'] },
      'broken.example': { misbehave: 'servfail' },
    })
    const finder: HostFinder = {
      find: async (host, port) => {
        looked.push([host, port])
        return hosts[host] ?? REACHABLE
      },
    }
    planner = createPlanner({
      resolver: createResolver({
        servers: [{ address: dns.address, port: dns.port, trusted: true }],
        timeoutMs: 500,
        tries: 3,
      }),
      hosts: finder,
      policies: {
        find: async (domain) => {
          const found = policies[domain] ?? { status: 'none', failure: undefined }
          if (found instanceof TempError) throw found
          return found
        },
      },
      port: 25,
    })
  })
  after(() => dns.close())
  afterEach(() => {
    hosts = {}
    policies = {}
    looked.length = 0
  })

  const planFor = async (order: Partial<Order>) => planner.plan({ ...ORDER, ...order })
  const hostsOf = async (order: Partial<Order> = {}) => {
    const plan = await planFor(order)
    return plan.status === 'deliver' ? plan.hosts.map(({ host }) => host) : plan.status
  }

  it('S35, D10: hosts are tried in the order of the MX records, whatever is known of them', async () => {
    hosts['mx3.b.example'] = {
      ...REACHABLE,
      dane: { status: 'unusable', baseDomain: 'mx3.b.example', records: [] },
    }
    assert.deepEqual(await hostsOf(), ['mx1.b.example', 'mx2.b.example', 'mx3.b.example'])
  })

  it('S30: hosts outside of an enforced policy are skipped, and said so', async () => {
    policies['b.example'] = policy('mx2.b.example')
    const plan = await planFor({})
    assert.equal(plan.status, 'deliver')
    assert.deepEqual(plan.status === 'deliver' && plan.hosts.map(({ host }) => host), [
      'mx2.b.example',
    ])
    assert.deepEqual(
      plan.status === 'deliver' && plan.skipped.map(({ host, resultType }) => [host, resultType]),
      [
        ['mx1.b.example', 'validation-failure'],
        ['mx3.b.example', 'validation-failure'],
      ],
    )
  })

  it('S34: mail waits, with a reason for people, when no host is in the policy', async () => {
    policies['b.example'] = policy('elsewhere.example')
    const plan = await planFor({})
    assert.equal(plan.status, 'defer')
    assert.match(
      plan.status === 'defer' ? plan.reason : '',
      /mx1\.b\.example is none of the hosts of the MTA-STS policy/,
    )
  })

  it('S36: a policy that could not be fetched again is told beside the plan', async () => {
    policies['b.example'] = policy('*.b.example', 'sts-policy-fetch-error')
    const plan = await planFor({})
    assert.equal(plan.status === 'deliver' && plan.stsFailure?.resultType, 'sts-policy-fetch-error')
  })

  it('D9: when DNS cannot tell the MX records mail waits, and no address of the domain is used', async () => {
    await assert.rejects(planFor({ domain: 'broken.example' }), { code: 'dns/servfail' })
    assert.deepEqual(looked, [])
  })

  it('D12: without MX records the domain is its own host', async () => {
    assert.deepEqual(await hostsOf({ domain: 'implicit.example' }), ['implicit.example'])
  })

  it('D2, D3: a host whose addresses or TLSA records cannot be told is skipped, the next one is used', async () => {
    hosts['mx1.b.example'] = { status: 'unknown', reason: 'SERVFAIL' }
    hosts['mx2.b.example'] = { ...REACHABLE, dane: { status: 'failed', reason: 'bogus' } }
    assert.deepEqual(await hostsOf(), ['mx3.b.example'])
  })

  it('a null MX and a domain that is not there are refused with their own codes; no address with another', async () => {
    for (const [domain, dsn] of [
      ['null.example', '5.1.10'],
      ['nowhere.example', '5.1.2'],
      ['gone.example', '5.4.4'],
    ] as const) {
      hosts[domain] = { status: 'no-address' }
      const plan = await planFor({ domain })
      assert.equal(plan.status === 'refuse' && plan.dsn, dsn, domain)
    }
  })

  it('S34: what DNS says against an enforced policy returns no mail, unless it is signed', async () => {
    for (const domain of ['null.example', 'nowhere.example', 'gone.example']) {
      hosts[domain] = { status: 'no-address' }
      policies[domain] = policy('mx.example')
      const plan = await planFor({ domain })
      assert.match(plan.status === 'defer' ? plan.reason : '', /its MTA-STS policy names servers/)
      assert.equal(await hostsOf({ domain, transport: 'opportunistic' }), 'refuse')
      policies[domain] = new TempError('dns/servfail', 'nobody can say')
      await assert.rejects(planFor({ domain }), TempError)
    }
    policies['signed-null.example'] = policy('mx.example')
    assert.equal(await hostsOf({ domain: 'signed-null.example' }), 'refuse')
  })

  it('MX hosts that have no address, and are all there are, are waited for', async () => {
    for (const host of ['mx1.b.example', 'mx2.b.example', 'mx3.b.example'])
      hosts[host] = { status: 'no-address' }
    assert.equal(await hostsOf(), 'defer')
  })

  it('S24, D13: a configured next hop is bound by its own policy, under its own name and port', async () => {
    policies['relay.example'] = policy('relay.example')
    policies['b.example'] = policy('mx1.b.example')
    const plan = await planFor({ route: [{ host: 'Relay.example', port: 587 }] })
    assert.deepEqual(looked, [['relay.example', 587]])
    const [host] = plan.status === 'deliver' ? plan.hosts : []
    assert.deepEqual(host?.requirement, {
      kind: 'webpki',
      name: { kind: 'host', name: 'relay.example' },
    })
  })

  it('an address as next hop, or in the recipient, has no policy', async () => {
    for (const order of [
      { route: [{ host: '192.0.2.7', port: 25 }] },
      { domain: '[192.0.2.7]' },
      { domain: '[IPv6:2001:db8::1]' },
    ]) {
      const plan = await planFor(order)
      assert.equal(plan.status === 'deliver' && plan.hosts[0]?.requirement.kind, 'opportunistic')
    }
    assert.deepEqual(looked, [])
  })

  it('a policy that cannot be told makes mail wait, unless it would decide nothing', async () => {
    policies['b.example'] = new TempError('dns/servfail', '_mta-sts.b.example')
    await assert.rejects(planFor({}), { code: 'dns/servfail' })
    await assert.rejects(planFor({ transport: 'verify' }), { code: 'dns/servfail' })
    await assert.rejects(planFor({ transport: 'opportunistic', requireTls: true }), {
      code: 'dns/servfail',
    })
    for (const order of [{ transport: 'opportunistic' }, { tlsRequiredNo: true }] as const)
      assert.deepEqual((await hostsOf(order)).length, 3)
  })

  it('Q4: REQUIRETLS wins over TLS-Required: No', async () => {
    const plan = await planFor({ domain: 'signed.example', requireTls: true, tlsRequiredNo: true })
    assert.equal(plan.status === 'deliver' && plan.hosts[0]?.requirement.kind, 'webpki')
    assert.equal(plan.status === 'deliver' && plan.hosts[0]?.requireTls, true)
  })

  const floors = [
    ['transport', false, 'webpki'],
    ['transport', true, 'webpki'],
    ['either', false, 'webpki'],
    ['either', true, 'opportunistic'],
    ['content', true, 'opportunistic'],
    ['none', false, 'opportunistic'],
  ] as const
  for (const [floor, contentIsEncrypted, kind] of floors)
    it(`floor ${floor}, content ${contentIsEncrypted ? 'encrypted' : 'in clear'}: ${kind}`, async () => {
      const plan = await planFor({ domain: 'signed.example', floor, contentIsEncrypted })
      assert.equal(plan.status === 'deliver' && plan.hosts[0]?.requirement.kind, kind)
    })

  it('floor content, content in clear: it waits', async () => {
    assert.equal(await hostsOf({ floor: 'content' }), 'defer')
  })

  it('a floor that no host can satisfy says so in words', async () => {
    const plan = await planFor({
      domain: '[192.0.2.7]',
      floor: 'either',
    })
    assert.match(
      plan.status === 'defer' ? plan.reason : '',
      /may not travel in clear, and no server can prove its name: 192\.0\.2\.7: an address without a name/,
    )
  })

  it('two domains with the same MX host do not share what is required of it', async () => {
    dns.zone['one.example'] = { MX: ['10 mx.shared.example'] }
    dns.zone['two.example'] = { MX: ['10 mx.shared.example'] }
    policies['one.example'] = policy('mx.shared.example')
    const kinds = await Promise.all(
      ['one.example', 'two.example'].map(async (domain) => {
        const plan = await planFor({ domain })
        return plan.status === 'deliver' && plan.hosts[0]?.requirement.kind
      }),
    )
    assert.deepEqual(kinds, ['webpki', 'opportunistic'])
  })
})
