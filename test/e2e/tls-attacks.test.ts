// Attackers on the way of outbound mail: between us and the mail server, in DNS, and before the policy host. What was learnt
// holds; nothing goes in clear, nothing is returned that should wait. RFC 8461 section 10, RFC 7672 section 1.3.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createFileCache } from '../../lib/cache/file.ts'
import { systemClock } from '../../lib/clock.ts'
import { formatTlsa } from '../../lib/dane/tlsa.ts'
import type { FetchedText } from '../../lib/mta-sts/entry.ts'
import { createPolicyStore } from '../../lib/mta-sts/store.ts'
import { derOf } from '../support/certificates.ts'
import { record } from '../support/dane-cases.ts'
import type { ZoneEntry } from '../support/dns-server.ts'
import { startManInTheMiddle, type ManInTheMiddle } from '../support/man-in-the-middle.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import { RETRY_FILES, RETRY_PLUGIN, retryUntil } from '../support/retry.ts'
import { startRoguePolicyHost, type RoguePolicyHost } from '../support/rogue-policy-host.ts'

const HOST = 'mx.b.example'
const EVIL = 'mx.evil.example'
const DANE_HOST = 'mx.d.example'
const OF_THE_MAIL = /MAIL|RCPT|DATA|secret/

let world: OutboundWorld
let man: ManInTheMiddle

const now = (entry: ZoneEntry): ZoneEntry => ({ ...entry, ttl: 0, soa: { ttl: 0, minimum: 0 } })
/** An address that no server of the world has. */
const place = (last: number): string => world.mta(HOST).address.replace(/\.\d+\.\d+$/, `.9.${last}`)
const recordOf = (domain: string): string => `_mta-sts.${domain}`
const hostOf = (domain: string): string => `mta-sts.${domain}`

/** What the store has of a domain. */
async function kept(domain: string): Promise<FetchedText | undefined> {
  const directory = join(world.haraka.directory, 'config', 'hisho.store')
  const store = createFileCache({ directory, clock: systemClock })
  const limits = { maxPolicies: 10, maxBytes: 1_000_000 }
  const policies = createPolicyStore({ store, clock: systemClock, log: () => {}, ...limits })
  return (await policies.peek(domain)).fetched
}

/** As deferral, of the next attempt. */
async function deferralAgain(domain: string): Promise<string> {
  world.haraka.forgetLog()
  await retryUntil(world.haraka, () => /Temp failing/.test(world.haraka.log()))
  return deferral(domain)
}

/** What is said when the mail is put off. */
async function deferral(domain: string): Promise<string> {
  const pattern = new RegExp(`Temp failing \\S+ for \\d+ seconds: (.*\\b${domain}.*)`)
  await world.haraka.waitForLog(pattern)
  return pattern.exec(world.haraka.log())?.[1] ?? ''
}

async function learn(domain: string): Promise<FetchedText> {
  world.policies.publish(domain, { mode: 'enforce', mx: [HOST] })
  world.dns.zone[domain] = now({ MX: [`10 ${HOST}`] })
  assert.equal((await world.send(`bob@${domain}`)).code, 250)
  await world.mta(HOST).waitFor(1)
  world.reset()
  man.forget()
  const policy = await kept(domain)
  assert.equal(policy?.policy.mode, 'enforce')
  return policy
}

function assertNothingInClear(): void {
  const said = man.wire() + [...world.mtas.values()].map((mta) => mta.clear()).join('')
  assert.doesNotMatch(said, OF_THE_MAIL)
  assert.equal(world.mta(EVIL).deliveries.length, 0)
  assert.doesNotMatch(world.haraka.log(), /bounc/i)
}

async function assertDelivered(domain: string, host = HOST): Promise<void> {
  const { deliveries } = world.mta(host)
  await retryUntil(world.haraka, () => deliveries.length > 0)
  const [delivery] = deliveries
  assert.deepEqual(delivery?.to, [`bob@${domain}`])
  assert.match(delivery?.session.version ?? '', /^TLS/)
  assert.equal(delivery?.session.servername, host)
  assertNothingInClear()
}

before(async () => {
  world = await startOutbound({
    hosts: [HOST, EVIL, DANE_HOST],
    table: '  only-dane.example: { encrypt: never, transport: dane }',
    plugins: ['auth/flat_file', RETRY_PLUGIN, 'hisho/mta_sts', 'hisho/dane'],
    files: () => RETRY_FILES,
  })
  const { address: server } = world.mta(HOST)
  man = await startManInTheMiddle({
    address: place(1),
    port: world.port,
    server: { address: server, port: world.port },
  })
  world.dns.zone[HOST] = now({ A: [man.address] })
  // Nobody remembers what is not there.
  world.dns.zone['example'] = now({})
  for (const host of [HOST, EVIL, DANE_HOST])
    world.dns.zone[`_${world.port}._tcp.${host}`] = now({ authentic: true })
})
after(async () => {
  await man?.close()
  await world?.close()
})
beforeEach(() => {
  world.reset()
  man.forget()
  man.stripsTls = false
})

describe('an attacker between us and the server of a domain whose policy we know', () => {
  it('S30, S34: strips STARTTLS: the mail waits until he stops', async () => {
    const policy = await learn('strip.example')
    man.stripsTls = true
    await world.send('bob@strip.example')
    assert.match(await deferral('strip.example'), /mx\.b\.example: it does not offer STARTTLS/)
    assertNothingInClear()
    assert.equal(world.mta(HOST).deliveries.length, 0)
    assert.deepEqual(await kept('strip.example'), policy)
    man.stripsTls = false
    await assertDelivered('strip.example')
  })

  it('S26, S35: names a host of his own, with a good certificate, as the MX: nobody connects to it', async () => {
    const policy = await learn('forged-mx.example')
    world.dns.zone['forged-mx.example'] = now({ MX: [`10 ${EVIL}`] })
    await world.send('bob@forged-mx.example')
    assert.match(await deferral('forged-mx.example'), /mx\.evil\.example is none of the hosts/)
    assertNothingInClear()
    assert.equal(world.mta(EVIL).sessions.length, 0)
    assert.deepEqual(await kept('forged-mx.example'), policy)
    world.dns.zone['forged-mx.example'] = now({ MX: [`10 ${HOST}`] })
    await assertDelivered('forged-mx.example')
  })

  it('S26: names a host of his own before the true one: the true one gets the mail', async () => {
    await learn('two-mx.example')
    world.dns.zone['two-mx.example'] = now({ MX: [`5 ${EVIL}`, `10 ${HOST}`] })
    await world.send('bob@two-mx.example')
    await assertDelivered('two-mx.example')
    assert.equal(world.mta(EVIL).sessions.length, 0)
  })

  for (const [what, forged] of [
    ['that the domain takes no mail', { MX: ['0 .'] }],
    ['that the domain is not there', undefined],
    ['that the domain has neither a server nor an address', { TXT: ['nothing'] }],
  ] as const) {
    it(`S34: forges ${what}: the mail waits, and is not returned`, async () => {
      const domain = `${forged ? Object.keys(forged)[0]?.toLowerCase() : 'no'}-domain.example`
      const policy = await learn(domain)
      const { zone } = world.dns
      const [mx, txt, host] = [zone[domain]!, zone[recordOf(domain)]!, zone[hostOf(domain)]!]
      if (forged) zone[domain] = now(forged)
      // A name exists too when there is something below it.
      else for (const name of [domain, recordOf(domain), hostOf(domain)]) delete zone[name]
      await world.send(`bob@${domain}`)
      assert.match(await deferral(domain), /its MTA-STS policy/)
      assertNothingInClear()
      assert.deepEqual(await kept(domain), policy)
      Object.assign(zone, { [domain]: mx, [recordOf(domain)]: txt, [hostOf(domain)]: host })
      await assertDelivered(domain)
    })
  }

  it('S28: leads the name of the host to himself, and has a good certificate for another name', async () => {
    const policy = await learn('swap.example')
    world.dns.zone[HOST] = now({ A: [world.mta(EVIL).address] })
    await world.send('bob@swap.example')
    assert.match(await deferral('swap.example'), /its certificate is not for mx\.b\.example/)
    assertNothingInClear()
    world.mta(EVIL).conduct = { credentials: world.stranger.issue(HOST) }
    assert.match(await deferralAgain('swap.example'), /nobody we trust vouches for its certificate/)
    assertNothingInClear()
    assert.deepEqual(await kept('swap.example'), policy)
    world.dns.zone[HOST] = now({ A: [man.address] })
    await assertDelivered('swap.example')
  })
})

/** What is done to the policy of a domain, so that STARTTLS may be stripped. */
interface PolicyAttack {
  readonly what: string
  readonly domain: string
  begin(domain: string): Promise<RoguePolicyHost> | void
  /** What is said of the fetch, where one is tried. */
  readonly failure?: string
}

const forge =
  (texts: readonly string[], more: Partial<ZoneEntry> = {}) =>
  (domain: string): void => {
    world.dns.zone[recordOf(domain)] = now({ TXT: texts, ...more })
  }
const impersonate =
  (
    isTrusted: 'trusted' | 'not trusted',
    answer: Parameters<typeof startRoguePolicyHost>[0]['answer'],
  ) =>
  async (domain: string): Promise<RoguePolicyHost> => {
    forge(['v=STSv1; id=other;'])(domain)
    const issuer = isTrusted === 'trusted' ? world.authority : world.stranger
    const address = place(2)
    const credentials = issuer.issue(hostOf(domain))
    world.dns.zone[hostOf(domain)] = now({ A: [address] })
    return startRoguePolicyHost({ address, port: world.policies.port, credentials, answer })
  }

const NONE = 'version: STSv1\r\nmode: none\r\nmax_age: 604800\r\n'

const POLICY_ATTACKS: readonly PolicyAttack[] = [
  { what: 'drops the TXT record', domain: 'drop.example', begin: forge([]) },
  {
    what: 'makes the TXT record another one of no policy',
    domain: 'foreign.example',
    begin: forge(['v=spf1 -all']),
  },
  {
    what: 'doubles the TXT record',
    domain: 'double.example',
    begin: forge(['v=STSv1; id=one;', 'v=STSv1; id=two;']),
  },
  {
    what: 'makes the TXT record malformed',
    domain: 'malformed.example',
    begin: forge(['v=STSv1; id=not-an-id;']),
  },
  {
    what: 'makes the TXT record SERVFAIL',
    domain: 'servfail.example',
    begin: forge([], { misbehave: 'servfail' }),
  },
  {
    what: 'swallows questions for the TXT record',
    domain: 'timeout.example',
    begin: forge([], { misbehave: 'drop' }),
  },
  {
    what: 'forges the id, and the policy host is down',
    domain: 'down.example',
    failure: 'sts-policy-fetch-error: connect ECONNREFUSED',
    begin: (domain) => {
      forge(['v=STSv1; id=other;'])(domain)
      world.dns.zone[hostOf(domain)] = now({ A: [place(3)] })
    },
  },
  {
    what: 'forges the id, and the name of the policy host is gone',
    domain: 'gone.example',
    failure: 'sts-policy-fetch-error: mta-sts.gone.example has no policy',
    begin: (domain) => {
      forge(['v=STSv1; id=other;'])(domain)
      world.dns.zone[hostOf(domain)] = now({ A: [] })
    },
  },
  {
    what: 'forges the id, and has a policy of his own under a certificate that nobody trusts',
    domain: 'untrusted.example',
    failure: 'sts-webpki-invalid',
    begin: impersonate('not trusted', (response) =>
      response.writeHead(200, { 'content-type': 'text/plain' }).end(NONE),
    ),
  },
  {
    what: 'forges the id, and the policy host answers 404',
    domain: 'missing.example',
    failure: 'sts-policy-fetch-error: mta-sts.missing.example has no policy',
    begin: impersonate('trusted', (response) => response.writeHead(404).end()),
  },
  {
    what: 'forges the id, and the policy host redirects to another policy',
    domain: 'redirect.example',
    failure: 'sts-policy-fetch-error: status 302',
    begin: impersonate('trusted', (response, { url }) =>
      url === '/.well-known/mta-sts.txt'
        ? response.writeHead(302, { location: '/other.txt' }).end()
        : response.writeHead(200, { 'content-type': 'text/plain' }).end(NONE),
    ),
  },
]

describe('an attacker who strips STARTTLS of a domain whose policy we know, and before that', () => {
  for (const { what, domain, begin, failure } of POLICY_ATTACKS) {
    it(`S4, S21: ${what}: the policy stays, and the mail waits for TLS`, async () => {
      const policy = await learn(domain)
      const rogue = await begin(domain)
      try {
        man.stripsTls = true
        await world.send(`bob@${domain}`)
        assert.match(await deferral(domain), /mx\.b\.example: it does not offer STARTTLS/)
        if (failure !== undefined)
          await world.haraka.waitForLog(
            new RegExp(
              `${domain}: its MTA-STS policy cannot be fetched \\(${failure}.*stays in force`,
            ),
          )
        assertNothingInClear()
        assert.equal(world.mta(HOST).deliveries.length, 0)
        assert.deepEqual(await kept(domain), policy)
        // DNS and the policy host are still his.
        man.stripsTls = false
        await assertDelivered(domain)
        assert.deepEqual(await kept(domain), policy)
      } finally {
        await rogue?.close()
      }
    })
  }

  it('S21: does all of that while we are killed and start again: everything waits for TLS', async () => {
    man.stripsTls = true
    const waiting = POLICY_ATTACKS.map(({ domain }) => domain)
    for (const domain of waiting) await world.send(`bob@${domain}`)
    for (const domain of waiting) await deferral(domain)
    await world.haraka.kill()
    await world.restart()
    const isDeferred = (domain: string): boolean =>
      new RegExp(`Temp failing .*${domain}: mx\\.b\\.example: it does not offer STARTTLS`).test(
        world.haraka.log(),
      )
    await retryUntil(world.haraka, () => waiting.every(isDeferred))
    assertNothingInClear()
    man.stripsTls = false
    const { deliveries } = world.mta(HOST)
    await retryUntil(world.haraka, () => deliveries.length === waiting.length)
    assert.ok(deliveries.every(({ session }) => session.version === 'TLSv1.3'))
    assertNothingInClear()
  })
})

describe('the first mail to a domain', () => {
  for (const misbehave of ['servfail', 'drop'] as const) {
    it(`waits while DNS cannot say whether there is a policy (${misbehave})`, async () => {
      const domain = `first-${misbehave}.example`
      world.policies.publish(domain, { mode: 'enforce', mx: [HOST] })
      world.dns.zone[domain] = now({ MX: [`10 ${HOST}`] })
      const good = world.dns.zone[recordOf(domain)]!
      world.dns.zone[recordOf(domain)] = now({ misbehave })
      man.stripsTls = true
      await world.send(`bob@${domain}`)
      await deferral(domain)
      assert.equal(world.mta(HOST).sessions.length, 0)
      world.dns.zone[recordOf(domain)] = good
      await retryUntil(world.haraka, () => /does not offer STARTTLS/.test(world.haraka.log()))
      assertNothingInClear()
      man.stripsTls = false
      await assertDelivered(domain)
    })
  }
})

describe('a domain that changes its policy', () => {
  it('S33: gets the mail that the old one held back, under the new one', async () => {
    const domain = 'moved.example'
    await learn(domain)
    world.dns.zone[domain] = now({ MX: [`10 ${DANE_HOST}`] })
    await world.send(`bob@${domain}`)
    assert.match(await deferral(domain), /mx\.d\.example is none of the hosts/)
    assert.equal(world.mta(DANE_HOST).sessions.length, 0)
    world.policies.publish(domain, { mode: 'enforce', mx: [DANE_HOST] })
    await assertDelivered(domain, DANE_HOST)
    assert.deepEqual((await kept(domain))?.policy.mx, [DANE_HOST])
  })
})

describe('a policy host that does not answer', () => {
  it('holds up mail for its own domain alone', async () => {
    await learn('known.example')
    const held: (() => void)[] = []
    const rogue = await impersonate('trusted', (response) => {
      held.push(() =>
        response
          .writeHead(200, { 'content-type': 'text/plain' })
          .end(`version: STSv1\nmode: enforce\nmx: ${HOST}\nmax_age: 86400\n`),
      )
    })('slow.example')
    try {
      for (const domain of ['slow.example', 'new.example', 'plain.example'])
        world.dns.zone[domain] = now({ MX: [`10 ${HOST}`] })
      world.policies.publish('new.example', { mode: 'enforce', mx: [HOST] })
      await world.send('bob@slow.example')
      for (const domain of ['known.example', 'new.example', 'plain.example'])
        await world.send(`bob@${domain}`)
      const others = await world.mta(HOST).waitFor(3)
      assert.ok(others.every(({ to }) => !to.includes('bob@slow.example')))
      assert.equal(rogue.asked(), 1)
      for (const answer of held) answer()
      const [, , , last] = await world.mta(HOST).waitFor(4)
      assert.deepEqual(last?.to, ['bob@slow.example'])
      await world.haraka.waitForLog(/delivery to slow\.example .*webpki, MTA-STS enforce/)
    } finally {
      await rogue.close()
    }
  })
})

describe('an attacker on the way to a domain with TLSA records', () => {
  const tlsaName = (): string => `_${world.port}._tcp.${DANE_HOST}`
  const tlsa = (): ZoneEntry => {
    const { certificate, privateKey } = world.mta(DANE_HOST).conduct.credentials!
    const spec = record('3 1 1', { certificate, privateKey, der: derOf(certificate) })
    return now({ TLSA: [formatTlsa(spec)], authentic: true })
  }
  const signed = (domain: string): void => {
    world.dns.zone[domain] = now({ MX: [`10 ${DANE_HOST}`], authentic: true })
  }
  beforeEach(() => {
    world.dns.zone[tlsaName()] = tlsa()
  })

  const waits = async (domain: string, reason: RegExp): Promise<void> => {
    await world.send(`bob@${domain}`)
    assert.match(await deferral(domain), reason)
    assertNothingInClear()
    assert.equal(world.mta(DANE_HOST).deliveries.length, 0)
  }

  it('D8: strips STARTTLS: the mail waits', async () => {
    signed('dane-strip.example')
    const { conduct } = world.mta(DANE_HOST)
    world.mta(DANE_HOST).conduct = { startTls: 'missing' }
    await waits('dane-strip.example', /it does not offer STARTTLS/)
    world.mta(DANE_HOST).conduct = conduct
    await assertDelivered('dane-strip.example', DANE_HOST)
  })

  for (const misbehave of ['servfail', 'drop'] as const) {
    it(`D3: makes the TLSA records unknown (${misbehave}): the host is not even connected to`, async () => {
      const domain = `dane-${misbehave}.example`
      signed(domain)
      world.dns.zone[tlsaName()] = now({ misbehave })
      await waits(domain, /mx\.d\.example: /)
      assert.equal(world.mta(DANE_HOST).sessions.length, 0)
      world.dns.zone[tlsaName()] = tlsa()
      await assertDelivered(domain, DANE_HOST)
    })
  }

  it('D9: forges the MX record, which a validating resolver says by SERVFAIL: the mail waits', async () => {
    world.dns.zone['dane-bogus.example'] = now({ misbehave: 'servfail' })
    await waits('dane-bogus.example', /dane-bogus\.example/)
    signed('dane-bogus.example')
    await assertDelivered('dane-bogus.example', DANE_HOST)
  })

  it('D5: shows another certificate, good by the Web PKI: the mail waits', async () => {
    signed('dane-swap.example')
    const { conduct } = world.mta(DANE_HOST)
    world.mta(DANE_HOST).conduct = { credentials: world.authority.issue(DANE_HOST) }
    await waits('dane-swap.example', /its certificates are none of those in DNS/)
    assert.match(world.haraka.log(), /tlsa tlsa-invalid/)
    world.mta(DANE_HOST).conduct = conduct
    await assertDelivered('dane-swap.example', DANE_HOST)
  })

  it('D28: takes the AD bit away: mail that is to go under DANE alone waits', async () => {
    world.dns.zone['only-dane.example'] = now({ MX: [`10 ${DANE_HOST}`] })
    await waits('only-dane.example', /the MX record that names it is not authenticated/)
    assert.equal(world.mta(DANE_HOST).sessions.length, 0)
    signed('only-dane.example')
    world.dns.zone[tlsaName()] = { ...tlsa(), authentic: false }
    await deferralAgain('only-dane.example')
    assert.equal(world.mta(DANE_HOST).sessions.length, 0)
    world.dns.zone[tlsaName()] = tlsa()
    await assertDelivered('only-dane.example', DANE_HOST)
  })

  it('S1, D11: forges the MX without AD to a host with TLSA records of its own: a known policy stands against it', async () => {
    await learn('both.example')
    const { certificate, privateKey } = world.mta(EVIL).conduct.credentials!
    const spec = record('3 1 1', { certificate, privateKey, der: derOf(certificate) })
    world.dns.zone[`_${world.port}._tcp.${EVIL}`] = { TLSA: [formatTlsa(spec)], authentic: true }
    world.dns.zone['both.example'] = now({ MX: [`10 ${EVIL}`] })
    await waits('both.example', /mx\.evil\.example is none of the hosts/)
    assert.equal(world.mta(EVIL).sessions.length, 0)
    world.dns.zone['both.example'] = now({ MX: [`10 ${HOST}`] })
    await assertDelivered('both.example')
  })
})
