// Outbound TLS against servers that do everything with it that can be done wrong. RFC 8461 section 5.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import type { SmtpMta } from '../support/smtp-mta.ts'
import { TLS_FAULTS, type TlsFault } from '../support/tls-faults.ts'

const FIRST = 'mx1.b.example'
const SECOND = 'mx2.b.example'
const OF_THE_MAIL = /MAIL|RCPT|DATA|secret/

let world: OutboundWorld

/** `one`: the first server alone takes its mail, `two`: both do. */
before(async () => {
  const modes = ['enforce', 'testing', 'none'] as const
  world = await startOutbound({
    hosts: [FIRST, SECOND],
    zone: Object.fromEntries(
      [...modes, 'plain'].flatMap((mode) => [
        [`one.${mode}.example`, { MX: [`10 ${FIRST}`] }],
        [`two.${mode}.example`, { MX: [`10 ${FIRST}`, `20 ${SECOND}`] }],
      ]),
    ),
    publish: (policies) => {
      for (const mode of modes)
        for (const domain of ['one', 'two'])
          policies.publish(`${domain}.${mode}.example`, { mode, mx: ['*.b.example'] })
    },
    files: () => ({ 'config/outbound.ini': 'temp_fail_intervals=1h\nlocal_mx_ok=true\n' }),
  })
})
after(() => world?.close())
beforeEach(() => world.reset())

const misbehave = (fault: TlsFault): SmtpMta => {
  const { authority, stranger } = world
  const mta = world.mta(FIRST)
  mta.conduct = { ...mta.conduct, ...fault.conduct({ authority, stranger, host: FIRST }) }
  return mta
}

/** What the queue says when it puts a mail off. */
const whyDeferred = async (): Promise<string> => {
  await world.haraka.waitForLog(/Temp failing .* for 3600 seconds: .*\n/)
  return /Temp failing \S+ for 3600 seconds: (.*)/.exec(world.haraka.log())?.[1] ?? ''
}

describe('a domain with a policy in mode enforce', () => {
  it('S37: gets mail over TLS 1.3, with the name of the host in SNI', async () => {
    assert.equal((await world.send('bob@one.enforce.example')).code, 250)
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.equal(delivery?.session.servername, FIRST)
    assert.equal(delivery?.session.version, 'TLSv1.3')
    await world.haraka.waitForLog(
      /delivery to one\.enforce\.example at mx1\.b\.example .*TLS, authenticated \(sts success\)/,
    )
  })

  it('takes up no TLS session of another delivery: what was proven there is proven anew', async () => {
    for (const [at, mode] of ['plain', 'enforce', 'enforce'].entries()) {
      await world.send(`bob@one.${mode}.example`)
      const deliveries = await world.mta(FIRST).waitFor(at + 1)
      assert.equal(deliveries[at]?.session.isReused, false)
    }
  })

  for (const fault of TLS_FAULTS) {
    const { what, reason, result, labels = '' } = fault

    it(`${labels}S30 S34: ${what}: the mail waits, and nothing of it is on the wire`, async () => {
      const mta = misbehave(fault)
      assert.equal((await world.send('bob@one.enforce.example', `alone ${what}`)).code, 250)
      const said = await whyDeferred()
      assert.match(said, reason)
      assert.match(said, /^one\.enforce\.example: mx1\.b\.example: /)
      assert.doesNotMatch(mta.clear(), OF_THE_MAIL)
      assert.equal(mta.deliveries.length, 0)
      assert.doesNotMatch(world.haraka.log(), /bouncing/)
      assert.match(
        world.haraka.log(),
        result === undefined ? /not reached: / : new RegExp(`not used: .*\\(sts ${result}\\)`),
      )
    })

    it(`S35: ${what}: the next host gets the mail, over TLS`, async () => {
      const mta = misbehave(fault)
      assert.equal((await world.send('bob@two.enforce.example', `first ${what}`)).code, 250)
      const [delivery] = await world.mta(SECOND).waitFor(1)
      assert.equal(delivery?.session.servername, SECOND)
      assert.match(delivery?.message ?? '', /the secret/)
      assert.doesNotMatch(mta.clear() + world.mta(SECOND).clear(), OF_THE_MAIL)
      assert.equal(mta.deliveries.length, 0)
    })
  }
})

for (const [mode, label] of [
  ['testing', 'S31'],
  ['none', 'S32'],
  ['plain', 'S20'],
] as const) {
  describe(`a domain with ${mode === 'plain' ? 'no policy' : `a policy in mode ${mode}`}`, () => {
    for (const fault of TLS_FAULTS) {
      const { what, result, otherwise, reason } = fault

      if (otherwise !== 'not here') {
        it(`${label}: ${what}: the mail is delivered ${otherwise}, at the first try`, async () => {
          const mta = misbehave(fault)
          assert.equal((await world.send(`bob@one.${mode}.example`, `${mode} ${what}`)).code, 250)
          const [delivery] = await mta.waitFor(1)
          assert.equal(delivery?.session.version !== undefined, otherwise === 'over TLS')
          assert.equal(OF_THE_MAIL.test(delivery?.session.clear ?? ''), otherwise === 'in clear')
          await world.haraka.waitForLog(/delivered file/)
          assert.doesNotMatch(world.haraka.log(), /Temp failing|bouncing/)
          // Reported once, and as what it is.
          const reports = world.haraka.log().match(new RegExp(`\\(.* ${result}\\)`, 'g')) ?? []
          assert.equal(reports.length, mode === 'testing' || otherwise === 'in clear' ? 1 : 0)
        })
      } else {
        it(`${label}: ${what}: the mail waits, and is not returned`, async () => {
          misbehave(fault)
          assert.equal((await world.send(`bob@one.${mode}.example`, `${mode} ${what}`)).code, 250)
          assert.match(await whyDeferred(), reason)
          assert.doesNotMatch(world.haraka.log(), /bouncing/)
        })

        it(`${label}: ${what}: the next host gets the mail`, async () => {
          misbehave(fault)
          assert.equal((await world.send(`bob@two.${mode}.example`, `${mode} ${what}`)).code, 250)
          await world.mta(SECOND).waitFor(1)
        })
      }
    }
  })
}
