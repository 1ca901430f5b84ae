// DANE on delivery: RFC 7672.
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { Credentials } from '../support/authority.ts'
import type { ZoneEntry } from '../support/dns-server.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import { TLS_FAULTS } from '../support/tls-faults.ts'

const FIRST = 'mx1.b.example'
const SECOND = 'mx2.b.example'
const OF_THE_MAIL = /MAIL|RCPT|DATA|secret/

/** `3 1 1`: the key of this certificate. */
function keyOf({ certificate }: Credentials): string {
  const spki = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })
  return `3 1 1 ${createHash('sha256').update(spki).digest('hex')}`
}

describe('a server with TLSA records', () => {
  let world: OutboundWorld
  /** By nobody we trust, for another name and out of date: nothing but its key speaks for it. */
  let own: Credentials
  let count = 0

  before(async () => {
    world = await startOutbound({
      hosts: [FIRST, SECOND],
      table: '  dane.example: { encrypt: never, transport: dane }',
      files: () => ({ 'config/outbound.ini': 'temp_fail_intervals=1h\nlocal_mx_ok=true\n' }),
    })
    own = world.stranger.issue('other.example', { days: -1 })
  })
  after(() => world?.close())
  beforeEach(() => world.reset())

  interface Place {
    readonly domain: string
    readonly host: string
  }

  /** A new domain whose preferred host is a new name of the first server; the second one comes after it. */
  const place = (tlsa: ZoneEntry, domain = `d${(count += 1)}.example`): Place => {
    const host = `mx.${domain}`
    const { zone } = world.dns
    zone[domain] = { MX: [`10 ${host}`], authentic: true }
    zone[`two.${domain}`] = { MX: [`10 ${host}`, `20 ${SECOND}`], authentic: true }
    zone[host] = { A: [world.mta(FIRST).address], authentic: true }
    zone[`_${world.port}._tcp.${host}`] = { authentic: true, ...tlsa }
    return { domain, host }
  }
  const send = (domain: string) => world.send(`bob@${domain}`)
  const deferred = async (): Promise<string> => {
    await world.haraka.waitForLog(/Temp failing .* seconds: .*\n/)
    return /Temp failing \S+ for \d+ seconds: (.*)/.exec(world.haraka.log())?.[1] ?? ''
  }
  const assertNothingSaid = (): void => {
    assert.doesNotMatch(world.mta(FIRST).clear(), OF_THE_MAIL)
    assert.equal(world.mta(FIRST).deliveries.length, 0)
  }

  it('D5 D20 D24: that match gets the mail, whatever its certificate says of name and date', async () => {
    const { domain } = place({ TLSA: [keyOf(own)] })
    world.mta(FIRST).conduct = { credentials: own }
    await send(domain)
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.match(delivery?.session.version ?? '', /^TLSv1\.[23]$/)
    await world.haraka.waitForLog(/\(dane.*TLS, authenticated \(tlsa success\)/)
  })

  it('D5 D8: that do not match gets nothing, and nothing goes in clear', async () => {
    const { domain, host } = place({ TLSA: [keyOf(own)] })
    await send(domain)
    assert.ok((await deferred()).startsWith(`${domain}: ${host}: `))
    assert.match(world.haraka.log(), /\(tlsa tlsa-invalid\)/)
    assertNothingSaid()
  })

  for (const fault of TLS_FAULTS.filter(({ otherwise }) => otherwise === 'in clear')) {
    it(`D8: ${fault.what}: the mail waits, and nothing of it is on the wire`, async () => {
      const { domain } = place({ TLSA: [keyOf(own)] })
      const { authority, stranger } = world
      const conduct = fault.conduct({ authority, stranger, host: FIRST })
      world.mta(FIRST).conduct = { credentials: own, ...conduct }
      await send(domain)
      assert.match(await deferred(), fault.reason)
      assert.match(world.haraka.log(), new RegExp(`\\(tlsa ${fault.result}\\)`))
      assertNothingSaid()
    })
  }

  it('D5: that do not match makes room for the next', async () => {
    const { domain } = place({ TLSA: [keyOf(own)] })
    await send(`two.${domain}`)
    await world.mta(SECOND).waitFor(1)
    assert.ok(world.mta(FIRST).sessions.length > 0)
    assertNothingSaid()
  })

  it('D10: is not preferred for them', async () => {
    const { domain } = place({ TLSA: [], soa: { ttl: 0, minimum: 0 } })
    world.dns.zone[`_${world.port}._tcp.${SECOND}`] = {
      TLSA: [keyOf(world.mta(SECOND).conduct.credentials!)],
      authentic: true,
    }
    await send(`two.${domain}`)
    await world.mta(FIRST).waitFor(1)
    assert.equal(world.mta(SECOND).sessions.length, 0)
  })

  it('D3: whose records cannot be had is as if it were away', async () => {
    const { domain, host } = place({ TLSA: [], misbehave: 'servfail' })
    await send(domain)
    assert.ok((await deferred()).includes(`${host}: `))
    await send(`two.${domain}`)
    await world.mta(SECOND).waitFor(1)
    assert.equal(world.mta(FIRST).sessions.length, 0)
  })

  it('D6: of no use to us must speak TLS, with any certificate', async () => {
    const { domain } = place({ TLSA: ['0 0 1 00'] })
    world.mta(FIRST).conduct = { credentials: own }
    await send(domain)
    await world.mta(FIRST).waitFor(1)
    world.reset()
    world.mta(FIRST).conduct = { startTls: 'missing' }
    await send(domain)
    assert.match(await deferred(), /does not offer STARTTLS/)
    assertNothingSaid()
  })

  it('D7: that are not authenticated is as one without', async () => {
    const { domain } = place({ TLSA: [keyOf(own)], authentic: false })
    world.mta(FIRST).conduct = { startTls: 'missing' }
    await send(domain)
    await world.mta(FIRST).waitFor(1)
  })

  it('S1: that do not match gets nothing, though it satisfies the MTA-STS policy', async () => {
    const { domain, host } = place({ TLSA: [keyOf(own)] })
    world.policies.publish(domain, { mode: 'enforce', mx: [host] })
    world.mta(FIRST).conduct = { credentials: world.authority.issue(host) }
    await send(domain)
    await deferred()
    assert.match(world.haraka.log(), /not used: .*\(tlsa tlsa-invalid, sts success\)/)
    assertNothingSaid()
  })

  it('D15 D16 D29: is called by its base domain in SNI', async () => {
    const { host } = place({ TLSA: [keyOf(own)] })
    world.dns.zone['alias.example'] = { MX: ['10 mx.alias.example'], authentic: true }
    world.dns.zone['mx.alias.example'] = { CNAME: host, authentic: true }
    world.mta(FIRST).conduct = { credentials: own }
    await send('alias.example')
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.equal(delivery?.session.servername, host)
  })

  it('D28: is the only one that will do, where the operator says dane', async () => {
    const { domain, host } = place({ TLSA: [] }, 'dane.example')
    await send(domain)
    assert.ok((await deferred()).includes(`${host}: `))
    assert.equal(world.mta(FIRST).sessions.length, 0)
  })
})

describe('hisho/dane alone', () => {
  it('keeps to TLSA records, and knows no policy', async () => {
    const world = await startOutbound({
      hosts: [FIRST],
      zone: { 'sts.example': { MX: [`10 ${FIRST}`], authentic: true } },
      publish: (policies) => policies.publish('sts.example', { mode: 'enforce', mx: [FIRST] }),
      plugins: ['auth/flat_file', 'hisho/dane'],
      files: () => ({ 'config/outbound.ini': 'temp_fail_intervals=1h\nlocal_mx_ok=true\n' }),
    })
    try {
      await world.haraka.waitForLog(/DANE is on/)
      world.mta(FIRST).conduct = { credentials: world.stranger.issue(FIRST) }
      await world.send('bob@sts.example')
      await world.mta(FIRST).waitFor(1)
      assert.deepEqual(world.policies.asked, [])
    } finally {
      await world.close()
    }
  })
})
