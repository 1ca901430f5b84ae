// Outbound TLS against servers that do everything with it that can be done wrong: nothing in clear where TLS is needed, the
// next host where there is one, and nothing lost. RFC 8461 section 5, RFC 7672 section 2.2.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import type { Conduct } from '../support/smtp-mta.ts'

const FIRST = 'mx1.b.example'
const SECOND = 'mx2.b.example'

interface Fault {
  readonly what: string
  readonly conduct: (world: OutboundWorld) => Partial<Conduct>
  /** What is said to the sender. */
  readonly reason: RegExp
  /** Whether mail may go in clear where TLS is only wanted. */
  readonly withoutTls?: true
}

let stranger: Authority

const FAULTS: readonly Fault[] = [
  {
    what: 'no STARTTLS',
    conduct: () => ({ startTls: 'missing' }),
    reason: /does not offer STARTTLS/,
    withoutTls: true,
  },
  {
    what: 'EHLO 502',
    conduct: () => ({ ehlo: '502 what' }),
    reason: /refuses EHLO \(502 what\)/,
    withoutTls: true,
  },
  {
    what: 'STARTTLS 454',
    conduct: () => ({ startTls: '454 not now' }),
    reason: /refuses STARTTLS \(454 not now\)/,
    withoutTls: true,
  },
  {
    what: 'STARTTLS 502',
    conduct: () => ({ startTls: '502 what' }),
    reason: /refuses STARTTLS \(502 what\)/,
    withoutTls: true,
  },
  {
    what: 'garbage after 220',
    conduct: () => ({ startTls: 'garbage' }),
    reason: /TLS failed: /,
    withoutTls: true,
  },
  {
    what: 'a line after 220 in the same packet',
    conduct: () => ({ startTls: 'inject' }),
    reason: /more in clear/,
    withoutTls: true,
  },
  {
    what: 'a part of a line after 220 in the same packet',
    conduct: () => ({ startTls: 'inject a part' }),
    reason: /more in clear/,
    withoutTls: true,
  },
  {
    what: 'a line after 220 in another packet',
    conduct: () => ({ startTls: 'inject later' }),
    reason: /TLS failed: |speaks in clear/,
    withoutTls: true,
  },
  {
    what: 'the end after 220',
    conduct: () => ({ startTls: 'hang up' }),
    reason: /TLS failed: /,
    withoutTls: true,
  },
  {
    what: 'the end right after the handshake',
    conduct: () => ({ startTls: 'hang up within' }),
    reason: /TLS failed: /,
    withoutTls: true,
  },
  {
    what: 'TLS 1.1 at most',
    conduct: () => ({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1' }),
    reason: /TLS failed: /,
    withoutTls: true,
  },
  {
    what: 'an expired certificate',
    conduct: ({ authority }) => ({ credentials: authority.issue(FIRST, { days: -1 }) }),
    reason: /out of date \(CERT_HAS_EXPIRED\)/,
  },
  {
    what: 'a certificate for another name',
    conduct: ({ authority }) => ({ credentials: authority.issue('other.example') }),
    reason: /its certificate is not for mx1\.b\.example/,
  },
  {
    what: 'the name as common name alone',
    conduct: ({ authority }) => ({ credentials: authority.issue(FIRST, { names: '' }) }),
    reason: /its certificate is not for mx1\.b\.example/,
  },
  {
    what: 'a certificate by nobody we trust',
    conduct: () => ({ credentials: stranger.issue(FIRST) }),
    reason: /nobody we trust vouches/,
  },
  { what: 'greeting 554', conduct: () => ({ greeting: '554 go away' }), reason: /greets with 554/ },
  { what: 'greeting 421', conduct: () => ({ greeting: '421 later' }), reason: /greets with 421/ },
  {
    what: 'a greeting that is no SMTP',
    conduct: () => ({ greeting: 'SSH-2.0-x' }),
    reason: /no SMTP/,
  },
  { what: 'EHLO 421', conduct: () => ({ ehlo: '421 later' }), reason: /answers EHLO with 421/ },
  { what: 'the end after EHLO', conduct: () => ({ ehlo: 'hang up' }), reason: /closed/ },
]

describe('a domain whose servers must speak TLS and prove their names', () => {
  let world: OutboundWorld

  before(async () => {
    stranger = makeAuthority()
    world = await startOutbound({
      hosts: [FIRST, SECOND],
      zone: {
        'one.example': { MX: [`10 ${FIRST}`], authentic: true },
        'two.example': { MX: [`10 ${FIRST}`, `20 ${SECOND}`], authentic: true },
      },
      table: "  '*': { encrypt: never, transport: verify }",
      files: () => ({ 'config/outbound.ini': 'temp_fail_intervals=1h\nlocal_mx_ok=true\n' }),
    })
  })
  after(async () => {
    await world?.close()
    stranger?.close()
  })
  beforeEach(() => {
    for (const [host, mta] of world.mtas) {
      mta.forget()
      mta.conduct = { credentials: world.authority.issue(host) }
    }
    world.haraka.forgetLog()
  })

  it('S37: gets mail over TLS 1.3, with the name of the host in SNI', async () => {
    assert.equal((await world.send('bob@one.example')).code, 250)
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.equal(delivery?.session.servername, FIRST)
    assert.equal(delivery?.session.version, 'TLSv1.3')
    assert.equal(delivery?.session.isReused, false)
    await world.haraka.waitForLog(
      /delivery to one\.example at mx1\.b\.example .*TLS, authenticated/,
    )
  })

  for (const { what, conduct, reason } of FAULTS) {
    it(`S30 S34: ${what}: the mail waits, and nothing of it is on the wire`, async () => {
      const mta = world.mta(FIRST)
      mta.conduct = { ...mta.conduct, ...conduct(world) }
      assert.equal((await world.send('bob@one.example', `alone ${what}`)).code, 250)
      await world.haraka.waitForLog(/Temp failing .* for 3600 seconds/)
      const [, said = ''] = /Temp failing \S+ for 3600 seconds: (.*)/.exec(world.haraka.log()) ?? []
      assert.match(said, reason)
      assert.match(said, /mx1\.b\.example/)
      assert.doesNotMatch(mta.clear(), /MAIL|RCPT|DATA|secret/)
      assert.equal(mta.deliveries.length, 0)
      assert.doesNotMatch(world.haraka.log(), /bouncing/)
    })

    it(`S35: ${what}: the next host gets the mail, over TLS`, async () => {
      const mta = world.mta(FIRST)
      mta.conduct = { ...mta.conduct, ...conduct(world) }
      assert.equal((await world.send('bob@two.example', `first ${what}`)).code, 250)
      const [delivery] = await world.mta(SECOND).waitFor(1)
      assert.equal(delivery?.session.servername, SECOND)
      assert.match(delivery?.message ?? '', /the secret/)
      assert.doesNotMatch(mta.clear() + world.mta(SECOND).clear(), /MAIL|RCPT|DATA|secret/)
      assert.equal(mta.deliveries.length, 0)
    })
  }
})
