// REQUIRETLS and TLS-Required from the client's EHLO to the next server's: RFC 8689.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { openSession } from '../support/smtp-client.ts'
import type { MtaDelivery } from '../support/smtp-mta.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'

const FIRST = 'mx1.b.example'
const SECOND = 'mx2.b.example'
const INBOX = 'mx.inbox.example'
const OF_THE_MAIL = /MAIL|RCPT|DATA|secret/

describe('a message with REQUIRETLS', () => {
  let world: OutboundWorld
  before(async () => {
    world = await startOutbound({
      hosts: [FIRST, SECOND, INBOX],
      zone: {
        'a.example': { MX: [`10 ${INBOX}`], authentic: true },
        'one.example': { MX: [`10 ${FIRST}`], authentic: true },
        'two.example': { MX: [`10 ${FIRST}`, `20 ${SECOND}`], authentic: true },
        'sts.example': { MX: [`10 ${FIRST}`] },
        'forgeable.example': { MX: [`10 ${FIRST}`] },
      },
      publish: (policies) => policies.publish('sts.example', { mode: 'enforce', mx: [FIRST] }),
      plugins: ['tls', 'auth/flat_file', 'hisho/mta_sts', 'hisho/dane'],
      files: ({ authority }) => {
        const own = authority.issue('mx.a.example')
        return {
          'config/tls_key.pem': own.privateKey,
          'config/tls_cert.pem': own.certificate,
          'config/dhparams.pem': 'none',
        }
      },
    })
  })
  after(() => world?.close())
  beforeEach(() => {
    world.reset()
    for (const mta of world.mtas.values()) mta.conduct = { ...mta.conduct, offersRequireTls: true }
  })

  const send = (to: string, fields = '') =>
    world.send(to, undefined, { secure: true, parameters: 'REQUIRETLS' }, fields)
  const deferred = async (): Promise<string> => {
    await world.haraka.waitForLog(/Temp failing .* seconds: .*\n/)
    return /Temp failing \S+ for \d+ seconds: (.*)/.exec(world.haraka.log())?.[1] ?? ''
  }

  it('is taken over TLS, where REQUIRETLS is offered once, and not in clear', async () => {
    const session = await openSession(world.haraka.port)
    try {
      assert.doesNotMatch((await session.command('EHLO client.test')).text, /REQUIRETLS/)
      assert.equal((await session.command('MAIL FROM:<alice@a.example> REQUIRETLS')).code, 550)
      await session.secure()
      const { text } = await session.command('EHLO client.test')
      assert.equal(text.match(/REQUIRETLS/g)?.length, 1)
    } finally {
      session.close()
    }
  })

  it('Q1 Q3: goes over TLS to a server that offers it too, and stays what it is', async () => {
    assert.equal((await send('bob@one.example')).code, 250)
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.match(delivery?.session.secure ?? '', /^MAIL FROM:<alice@a\.example> REQUIRETLS\r$/m)
    assert.doesNotMatch(delivery?.session.clear ?? '', OF_THE_MAIL)
  })

  it('Q1: goes to the next server, where the first one does not offer it', async () => {
    world.mta(FIRST).conduct = { ...world.mta(FIRST).conduct, offersRequireTls: false }
    await send('bob@two.example')
    const [delivery] = await world.mta(SECOND).waitFor(1)
    assert.match(delivery?.session.secure ?? '', /REQUIRETLS/)
    assert.doesNotMatch(world.mta(FIRST).sessions[0]?.secure ?? '', OF_THE_MAIL)
  })

  it('Q1: goes to a server whose name MTA-STS vouches for, and to none that nobody does', async () => {
    await send('bob@sts.example')
    await world.mta(FIRST).waitFor(1)
    await send('bob@forgeable.example')
    assert.match(await deferred(), /mx1\.b\.example/)
    assert.equal(world.mta(FIRST).deliveries.length, 1)
  })

  it('Q1: goes to no server with another certificate, nor without TLS', async () => {
    const { conduct } = world.mta(FIRST)
    world.mta(FIRST).conduct = { ...conduct, credentials: world.authority.issue('other.example') }
    await send('bob@one.example')
    assert.match(await deferred(), /not for mx1\.b\.example/)
    world.haraka.forgetLog()
    world.mta(FIRST).conduct = { ...conduct, startTls: 'missing' }
    await send('bob@one.example')
    assert.match(await deferred(), /does not offer STARTTLS/)
    assert.doesNotMatch(world.mta(FIRST).clear(), OF_THE_MAIL)
  })

  it('Q2 Q3: is returned with 5.7.30 in the end, and what is returned requires TLS too', async () => {
    for (const mta of [FIRST, SECOND])
      world.mta(mta).conduct = { ...world.mta(mta).conduct, offersRequireTls: false }
    await send('bob@two.example')
    assert.match(
      await deferred(),
      /mx1\.b\.example: it does not offer REQUIRETLS; mx2\.b\.example:/,
    )
    let bounce: MtaDelivery | undefined
    // Those of the tests before come too.
    for (let count = 1; !bounce; count += 1) {
      const deliveries = await world.mta(INBOX).waitFor(count, 40_000)
      bounce = deliveries.find(({ message }) => message.includes('bob@two.example'))
    }
    assert.match(bounce.message, /^Status: 5\.7\.30 .*does not offer REQUIRETLS/m)
    assert.match(bounce.session.secure, /^MAIL FROM:<> REQUIRETLS\r$/m)
    assert.doesNotMatch(bounce.session.clear, OF_THE_MAIL)
  })

  it('Q4: is what it is, although its header says TLS-Required: No', async () => {
    world.mta(FIRST).conduct = { ...world.mta(FIRST).conduct, startTls: 'missing' }
    await send('bob@one.example', 'TLS-Required: No\r\n')
    assert.match(await deferred(), /does not offer STARTTLS/)
  })

  it('Q4: without, and with TLS-Required: No, goes where the policy says that it may not', async () => {
    world.mta(FIRST).conduct = { startTls: 'missing' }
    await world.send('bob@sts.example')
    assert.match(await deferred(), /does not offer STARTTLS/)
    await world.send('bob@sts.example', 'open', {}, 'TLS-Required: No\r\n')
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.match(delivery?.message ?? '', /the secret of open/)
  })
})
