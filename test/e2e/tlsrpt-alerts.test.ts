// The operator is told that deliveries to a domain fail because of TLS: once a day, by whatever the failure shows.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'

const STRIPPED = 'mx.b.example'
const GOOD = 'mx.ops.example'

describe('alerts of deliveries', () => {
  let world: OutboundWorld
  before(async () => {
    world = await startOutbound({
      hosts: [STRIPPED, GOOD],
      zone: {
        'strict.example': { MX: [`10 ${STRIPPED}`] },
        'unlisted.example': { MX: [`10 ${STRIPPED}`] },
        'plain.example': { MX: [`10 ${STRIPPED}`] },
        'ops.example': { MX: [`10 ${GOOD}`] },
      },
      publish: (policies) => {
        policies.publish('strict.example', { mode: 'enforce', mx: [STRIPPED] })
        policies.publish('unlisted.example', { mode: 'enforce', mx: ['other.example'] })
      },
      plugins: ['auth/flat_file', 'hisho/mta_sts', 'hisho/tlsrpt'],
      files: () => ({
        'config/outbound.ini': 'temp_fail_intervals=1h\nlocal_mx_ok=true\n',
        'config/hisho.tlsrpt.ini':
          '[report]\nmode=off\n[alerts]\nalert_to=root@ops.example\nalert_from=gateway@a.example\n',
      }),
    })
    const mta = world.mta(STRIPPED)
    mta.conduct = { ...mta.conduct, startTls: 'missing' }
  })
  after(() => world?.close())

  it('name the domain, the host, the cause and the next step, in the log and by mail, once', async () => {
    for (const domain of ['strict', 'plain', 'unlisted', 'strict'])
      assert.equal((await world.send(`bob@${domain}.example`)).code, 250)
    const alerts = await world.mta(GOOD).waitFor(2)
    const texts = alerts.map(({ message }) => message)
    const strict = texts.find((text) => /^Subject: .*strict/m.test(text)) ?? ''
    assert.match(strict, /^Subject: \[hisho\] TLS from here to strict\.example fails\r$/m)
    assert.match(strict, /^From: <gateway@a\.example>\r$/m)
    assert.match(
      strict,
      /mx\.b\.example: .*STARTTLS[^]*starttls-not-supported[^]*tell their postmaster/i,
    )
    const unlisted = texts.find((text) => /^Subject: .*unlisted/m.test(text)) ?? ''
    assert.match(
      unlisted,
      /mx\.b\.example is none of the hosts of the MTA-STS policy[^]*validation-failure/,
    )
    await world.haraka.waitForLog(/(?:Temp failing \S+ for 3600 seconds[^]*){3}/)
    const lines = world.haraka.log().match(/TLS from here to \S+ fails/g) ?? []
    assert.deepEqual(lines.toSorted(), [
      'TLS from here to strict.example fails',
      'TLS from here to unlisted.example fails',
    ])
    assert.equal((await world.mta(GOOD).waitFor(2)).length, 2)
  })
})
