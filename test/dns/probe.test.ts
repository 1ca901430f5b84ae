import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { createDnssecProbe, type DnssecProbe } from '../../lib/dns/probe.ts'
import { TempError } from '../../lib/errors.ts'
import { startDnsServer, type DnsServer, type Zone } from '../support/dns-server.ts'

const NAME = 'signed.example'
const HOUR_MS = 3_600_000
const SIGNED: Zone = { [NAME]: { authentic: true } }
const PLAIN: Zone = { [NAME]: { authentic: false } }

interface World {
  readonly probe: DnssecProbe
  readonly servers: readonly DnsServer[]
  readonly clock: { now: number }
}

async function world(
  t: TestContext,
  zones: readonly Zone[],
  { name = NAME, trusted = true } = {},
): Promise<World> {
  const servers = await Promise.all(zones.map((zone) => startDnsServer(zone)))
  for (const server of servers) t.after(() => server.close())
  const clock = { now: 0, nowMs: () => clock.now }
  const probe = createDnssecProbe({
    servers: servers.map(({ address, port }) => ({ address, port, trusted })),
    timeoutMs: 500,
    tries: 2,
    clock,
    name,
  })
  return { probe, servers, clock }
}

describe('the probe for DNSSEC', () => {
  it('D4: a resolver that sets AD for a signed name validates', async (t) => {
    const { probe, servers } = await world(t, [SIGNED])
    assert.equal(await probe.check(), 'validates')
    assert.equal(servers[0]?.queries[0]?.authenticData, true)
  })

  it('D4: a resolver that does not set it does not', async (t) => {
    const { probe } = await world(t, [PLAIN])
    assert.equal(await probe.check(), 'does-not-validate')
  })

  it('D4: a server that is not trusted is not even asked', async (t) => {
    const { probe, servers } = await world(t, [SIGNED], { trusted: false })
    assert.equal(await probe.check(), 'untrusted')
    assert.equal(servers[0]?.queries.length, 0)
  })

  it('D4: one of several that does not validate spoils the others', async (t) => {
    for (const zones of [
      [SIGNED, PLAIN],
      [PLAIN, SIGNED],
    ]) {
      const { probe } = await world(t, zones)
      assert.equal(await probe.check(), 'does-not-validate')
    }
  })

  it('asks for the root, where nothing else was said', async (t) => {
    const server = await startDnsServer({})
    t.after(() => server.close())
    const { address, port } = server
    const probe = createDnssecProbe({
      servers: [{ address, port, trusted: true }],
      timeoutMs: 500,
      tries: 2,
      clock: { nowMs: () => 0 },
    })
    assert.equal(await probe.check(), 'does-not-validate')
    assert.equal(server.queries[0]?.name, '.')
  })

  it('D4: nobody who answers is neither yes nor no', async (t) => {
    const { probe, servers } = await world(t, [{ [NAME]: { misbehave: 'servfail', times: 1 } }])
    await assert.rejects(probe.check(), TempError)
    Object.assign(servers[0]!.zone, SIGNED)
    assert.equal(await probe.check(), 'validates')
  })

  it('remembers for an hour', async (t) => {
    const { probe, servers, clock } = await world(t, [{ ...SIGNED }])
    const [server] = servers
    assert.equal(await probe.check(), 'validates')
    Object.assign(server!.zone, PLAIN)
    clock.now = HOUR_MS - 1
    assert.equal(await probe.check(), 'validates')
    assert.equal(server!.queries.length, 1)
    clock.now = HOUR_MS
    assert.equal(await probe.check(), 'does-not-validate')
  })

  it('D4: silence changes nothing of what was known', async (t) => {
    const { probe, servers, clock } = await world(t, [{ ...SIGNED }])
    const [server] = servers
    assert.equal(await probe.check(), 'validates')
    Object.assign(server!.zone, { [NAME]: { misbehave: 'servfail' } })
    clock.now = HOUR_MS
    assert.equal(await probe.check(), 'validates')
    Object.assign(server!.zone, PLAIN)
    assert.equal(await probe.check(), 'validates')
    clock.now += 60_000
    assert.equal(await probe.check(), 'does-not-validate')
  })

  it('asks again soon when one of the servers was silent', async (t) => {
    const { probe, servers, clock } = await world(t, [
      SIGNED,
      { [NAME]: { misbehave: 'refused', times: 1 } },
    ])
    assert.equal(await probe.check(), 'validates')
    Object.assign(servers[1]!.zone, PLAIN)
    clock.now = 60_000
    assert.equal(await probe.check(), 'does-not-validate')
  })
})
