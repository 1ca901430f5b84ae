// Servers that have IPv6 addresses, alone or beside IPv4: the same promises.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import { startMta, type SmtpMta } from '../support/smtp-mta.ts'

const HOST = 'mx.six.example'
const DUAL = 'mx.dual.example'

describe('mail over IPv6', () => {
  let world: OutboundWorld
  let six: SmtpMta
  before(async () => {
    world = await startOutbound({
      hosts: [DUAL],
      zone: {
        'six.example': { MX: [`10 ${HOST}`] },
        [HOST]: { AAAA: ['::1'] },
        'dual.example': { MX: [`10 ${DUAL}`] },
      },
      publish: (policies) => {
        policies.publish('six.example', { mode: 'enforce', mx: [HOST] })
        policies.publish('dual.example', { mode: 'enforce', mx: [DUAL] })
      },
    })
    six = await startMta({ address: '::1', port: world.port })
  })
  after(async () => {
    await world.close()
    await six.close()
  })

  it('goes to a server with a certificate for its name', async () => {
    six.conduct = { credentials: world.authority.issue(HOST) }
    await world.send('carol@six.example')
    const [delivery] = await six.waitFor(1)
    assert.equal(delivery?.session.servername, HOST)
    assert.ok(!six.clear().includes('MAIL'))
    six.forget()
  })

  it('waits for one that has none', async () => {
    six.conduct = { credentials: world.authority.issue('other.example') }
    await world.send('carol@six.example')
    await world.haraka.waitForLog(/Temp failing .*its certificate is not for mx\.six\.example/)
    assert.ok(!six.clear().includes('MAIL'))
    assert.equal(six.deliveries.length, 0)
    six.forget()
  })

  it('goes to the IPv4 address of a host, when that on IPv6 does not keep the promise', async () => {
    six.conduct = { startTls: 'missing' }
    world.dns.zone[DUAL] = { A: [world.mta(DUAL).address], AAAA: ['::1'] }
    await world.send('dan@dual.example')
    await world.mta(DUAL).waitFor(1)
    assert.equal(six.deliveries.length, 0)
    assert.ok(!six.clear().includes('MAIL'))
  })
})
