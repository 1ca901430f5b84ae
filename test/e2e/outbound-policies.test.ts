// Whose policy binds which mail, what the operator may say to it, and what is left of it after an accident.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import {
  startOutbound,
  type OutboundOptions,
  type OutboundWorld,
} from '../support/outbound-world.ts'
import { redisMissing, startRedis, type RedisServer } from '../support/redis-server.ts'

const FIRST = 'mx1.b.example'
const SECOND = 'mx2.b.example'
const INBOX = 'mx.inbox.example'
const OF_THE_MAIL = /MAIL|RCPT|DATA|secret/
const KEEP_LONG = 'temp_fail_intervals=1h\nlocal_mx_ok=true\n'
const RETRY_SOON = 'temp_fail_intervals=5s\nlocal_mx_ok=true\n'

const MX_OF_BOTH = { MX: [`10 ${FIRST}`, `20 ${SECOND}`] }

async function whyDeferred(world: OutboundWorld): Promise<string> {
  await world.haraka.waitForLog(/Temp failing .* seconds: .*\n/)
  return /Temp failing \S+ for \d+ seconds: (.*)/.exec(world.haraka.log())?.[1] ?? ''
}

describe('a policy', () => {
  let world: OutboundWorld
  before(async () => {
    world = await startOutbound({
      hosts: [FIRST, SECOND, INBOX],
      zone: {
        'strict.example': { MX: [`10 ${FIRST}`] },
        'plain.example': { MX: [`10 ${FIRST}`] },
        'two.example': MX_OF_BOTH,
        'listed.example': MX_OF_BOTH,
        'foreign.example': { MX: [`10 ${SECOND}`] },
        'sub.strict.example': { MX: [`10 ${FIRST}`] },
        'off.example': { MX: [`10 ${FIRST}`] },
        'lax.example': { MX: [`10 ${FIRST}`] },
        'encrypt.example': { MX: [`10 ${FIRST}`] },
        'null.example': { MX: ['0 .'] },
        'sick.example': { MX: [], misbehave: 'servfail' },
      },
      publish: (policies) => {
        policies.publish('strict.example', { mode: 'enforce', mx: [FIRST] })
        policies.publish('listed.example', { mode: 'enforce', mx: [SECOND] })
        policies.publish('foreign.example', { mode: 'enforce', mx: ['*.c.example'] })
        policies.publish('off.example', { mode: 'enforce', mx: [FIRST] })
        policies.publish('lax.example', { mode: 'enforce', mx: [FIRST] })
        policies.publish(FIRST, { mode: 'enforce', mx: [FIRST] })
      },
      table:
        '  off.example: { encrypt: never, transport: off }\n  lax.example: { encrypt: never, transport: opportunistic }\n  encrypt.example: { encrypt: never, transport: encrypt }\n  floor.example: { encrypt: never, floor: transport }',
      plugins: ['auth/flat_file', 'queue/smtp_forward', 'hisho/mta_sts'],
      files: ({ port, addressOf }) => ({
        'config/outbound.ini': KEEP_LONG,
        'config/smtp_forward.ini': [
          'enable_outbound=false',
          `[routed.example]\nhost=${FIRST}\nport=${port}\nauth_type=plain\nauth_user=u\nauth_pass=p`,
          `[floor.example]\nhost=${addressOf(SECOND)}\nport=${port}\nusing_lmtp=true`,
          `[numbered.example]\nhost=${addressOf(SECOND)}\nport=${port}`,
        ],
      }),
    })
  })
  after(() => world?.close())
  beforeEach(() => world.reset())

  const withBadName = (): void => {
    world.mta(FIRST).conduct = { credentials: world.authority.issue('other.example') }
  }

  it('binds the mail of its domain, and of no other that has the same server', async () => {
    withBadName()
    assert.equal((await world.send('bob@strict.example')).code, 250)
    assert.match(await whyDeferred(world), /^strict\.example: .* not for mx1\.b\.example/)
    assert.equal((await world.send('bob@plain.example')).code, 250)
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.deepEqual(delivery?.to, ['bob@plain.example'])
    assert.match(delivery?.session.version ?? '', /^TLS/)
  })

  it('S25: of a parent domain is no policy of a sub-domain', async () => {
    withBadName()
    await world.send('bob@sub.strict.example')
    await world.mta(FIRST).waitFor(1)
  })

  it('S26 S30: lists no host but its own: another one is not even connected to', async () => {
    await world.send('bob@foreign.example')
    assert.match(
      await whyDeferred(world),
      /mx2\.b\.example is none of the hosts of the MTA-STS policy/,
    )
    assert.equal(world.mta(SECOND).sessions.length, 0)
  })

  it('S35: the host that it lists gets the mail, although another one is preferred', async () => {
    await world.send('bob@listed.example')
    await world.mta(SECOND).waitFor(1)
    assert.equal(world.mta(FIRST).sessions.length, 0)
    assert.match(world.haraka.log(), /mx1\.b\.example is not used: .*none of the hosts/)
  })

  it('S24: of a configured next hop is the one that counts, and its settings stay', async () => {
    withBadName()
    await world.send('bob@routed.example')
    assert.match(await whyDeferred(world), /^routed\.example: .* not for mx1\.b\.example/)
    assert.doesNotMatch(world.mta(FIRST).clear(), OF_THE_MAIL)
    assert.ok(!world.policies.asked.includes('routed.example'))
    world.reset()
    await world.send('bob@routed.example')
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.equal(delivery?.session.servername, FIRST)
    await world.haraka.waitForLog(/AUTH configured for domain routed\.example/)
  })

  it('is of no concern to a next hop that is an address', async () => {
    await world.send('bob@numbered.example')
    const [delivery] = await world.mta(SECOND).waitFor(1)
    assert.equal(delivery?.session.servername, undefined)
    assert.match(delivery?.session.version ?? '', /^TLS/)
  })

  it('D31: is without effect where the operator says off, which is said each time', async () => {
    for (const count of [1, 2]) {
      world.haraka.forgetLog()
      await world.send('bob@off.example')
      const deliveries = await world.mta(FIRST).waitFor(count)
      assert.match(deliveries[count - 1]?.session.clear ?? '', OF_THE_MAIL)
      assert.doesNotMatch(deliveries[count - 1]?.session.clear ?? '', /STARTTLS/)
      await world.haraka.waitForLog(
        /\[WARN\].* delivery to off\.example .*in clear: TLS is switched off for this domain/,
      )
    }
  })

  it('is without effect where the operator says opportunistic', async () => {
    world.mta(FIRST).conduct = { startTls: 'missing' }
    await world.send('bob@lax.example')
    await world.mta(FIRST).waitFor(1)
  })

  it('is stood in for by the operator who says encrypt: TLS, whoever answers', async () => {
    withBadName()
    await world.send('bob@encrypt.example')
    await world.mta(FIRST).waitFor(1)
    world.reset()
    world.mta(FIRST).conduct = { startTls: 'missing' }
    await world.send('bob@encrypt.example')
    assert.match(await whyDeferred(world), /does not offer STARTTLS/)
  })

  it('or none: a host that cannot be connected to makes room for the next, and is named', async () => {
    const { zone } = world.dns
    zone['gone.example'] = { MX: ['10 gone.b.example'] }
    zone['gone.b.example'] = { A: ['127.0.0.99'] }
    await world.send('bob@gone.example')
    assert.match(await whyDeferred(world), /^gone\.example: gone\.b\.example: connect ECONNREFUSED/)
    world.haraka.forgetLog()
    zone['half-gone.example'] = { MX: ['10 gone.b.example', `20 ${FIRST}`] }
    await world.send('bob@half-gone.example')
    await world.mta(FIRST).waitFor(1)
  })

  it('of the operator’s, a floor, holds back what a route without SMTP would take', async () => {
    await world.send('bob@floor.example')
    assert.match(await whyDeferred(world), /^floor\.example: .*LMTP/)
  })

  it('D9: or none: mail waits while DNS cannot say who takes it', async () => {
    await world.send('bob@sick.example')
    assert.match(await whyDeferred(world), /^sick\.example: /)
  })
})

describe('the sender', () => {
  let world: OutboundWorld
  before(async () => {
    world = await startOutbound({
      hosts: [FIRST, INBOX],
      zone: {
        'a.example': { MX: [`10 ${INBOX}`] },
        'strict.example': { MX: [`10 ${FIRST}`] },
        'null.example': { MX: ['0 .'] },
      },
      publish: (policies) => policies.publish('strict.example', { mode: 'enforce', mx: [FIRST] }),
      files: () => ({ 'config/outbound.ini': RETRY_SOON }),
    })
  })
  after(() => world?.close())

  const bounce = async (count: number): Promise<string> =>
    (await world.mta(INBOX).waitFor(count, 40_000))[count - 1]?.message ?? ''

  it('S34: learns why only when the queue gives up, in words', async () => {
    world.mta(FIRST).conduct = { startTls: 'missing' }
    await world.send('bob@strict.example')
    await world.haraka.waitForLog(/Temp failing .* for 5 seconds/)
    assert.equal(world.mta(INBOX).deliveries.length, 0)
    assert.equal(world.haraka.queued().length, 1)
    const message = await bounce(1)
    assert.match(message, /strict\.example: mx1\.b\.example: it does not offer STARTTLS/)
    assert.match(message, /^Status: 5\.7\.5 /m)
    assert.match(message, /^Action: failed/m)
    assert.equal(world.mta(INBOX).deliveries[0]?.from, '')
  })

  it('learns at once that a domain takes no mail, or is none', async () => {
    await world.send('bob@null.example')
    assert.match(await bounce(2), /^Status: 5\.1\.10 .*null\.example takes no mail/m)
    await world.send('bob@missing.example')
    assert.match(await bounce(3), /^Status: 5\.1\.2 .*there is no domain missing\.example/m)
  })
})

describe('the operator’s own settings of TLS', () => {
  let world: OutboundWorld
  let redis: RedisServer
  before(async () => {
    if (redisMissing) throw new Error(redisMissing)
    redis = await startRedis()
    world = await startOutbound({
      hosts: [FIRST, SECOND],
      zone: {
        'strict.example': { MX: [`10 ${FIRST}`] },
        'plain.example': { MX: [`10 ${FIRST}`] },
        'second.example': { MX: [`10 ${SECOND}`] },
        'forced.example': { MX: [`10 ${SECOND}`, `20 ${FIRST}`] },
      },
      publish: (policies) => policies.publish('strict.example', { mode: 'enforce', mx: [FIRST] }),
      files: ({ addressOf, authority }) => {
        const client = authority.issue('client.a.example', { usage: 'clientAuth' })
        return {
          'config/outbound.ini': KEEP_LONG,
          'config/client_key.pem': client.privateKey,
          'config/client_cert.pem': client.certificate,
          'config/tls.ini': `[redis]\ndisable_for_failed_hosts=true\n[outbound]\nkey=client_key.pem\ncert=client_cert.pem\nno_tls_hosts[]=${addressOf(FIRST)}\nforce_tls_hosts[]=forced.example\n`,
          'config/redis.ini': `[server]\nport=${redis.port}\n`,
        }
      },
    })
  })
  after(async () => {
    await world?.close()
    await redis?.close()
  })
  beforeEach(() => world.reset())

  it('no_tls_hosts does not loosen a policy', async () => {
    await world.send('bob@strict.example')
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.match(delivery?.session.version ?? '', /^TLS/)
    assert.doesNotMatch(world.mta(FIRST).clear(), OF_THE_MAIL)
  })

  it('no_tls_hosts is followed where there is no policy, and is no failure of the server', async () => {
    await world.send('bob@plain.example')
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.equal(delivery?.session.version, undefined)
    await world.haraka.waitForLog(/delivery to plain\.example .*in clear: .*tls\.ini/)
    assert.doesNotMatch(world.haraka.log(), /starttls-not-supported/)
  })

  it('the list of hosts that failed is neither written by a failure, nor loosens a policy', async () => {
    world.mta(SECOND).conduct = { startTls: 'garbage' }
    await world.send('bob@second.example')
    await world.mta(SECOND).waitFor(1)
    assert.equal((await redis.cli('keys', 'no_tls*')).trim(), '')
    await redis.cli('set', `no_tls|${world.mta(FIRST).address}`, 'yesterday')
    world.reset()
    await world.send('bob@strict.example')
    const [delivery] = await world.mta(FIRST).waitFor(1)
    assert.match(delivery?.session.version ?? '', /^TLS/)
  })

  it('force_tls_hosts demands a good certificate: of the next host, where the first has none', async () => {
    world.mta(SECOND).conduct = { credentials: world.stranger.issue(SECOND) }
    await world.send('bob@forced.example')
    await world.mta(FIRST).waitFor(1)
    assert.doesNotMatch(world.mta(SECOND).clear() + world.mta(FIRST).clear(), OF_THE_MAIL)
  })

  it('the client’s certificate is shown to those who ask', async () => {
    const mta = world.mta(SECOND)
    mta.conduct = { ...mta.conduct, asksCertificate: true }
    await world.send('bob@second.example')
    const [delivery] = await mta.waitFor(1)
    assert.equal(delivery?.session.clientName, 'client.a.example')
  })
})

describe('after an accident', () => {
  const strict: OutboundOptions = {
    hosts: [FIRST],
    zone: { 'strict.example': { MX: [`10 ${FIRST}`] } },
    publish: (policies) => policies.publish('strict.example', { mode: 'enforce', mx: [FIRST] }),
    files: () => ({ 'config/outbound.ini': RETRY_SOON.replace('5s', '5s*20') }),
  }

  it('S4 S21: a killed Haraka keeps the policy, though its record and its host are gone', async () => {
    const world = await startOutbound(strict)
    try {
      const mta = world.mta(FIRST)
      mta.conduct = { startTls: 'missing' }
      await world.send('bob@strict.example')
      await whyDeferred(world)
      await world.haraka.kill()
      world.dns.zone['_mta-sts.strict.example'] = { TXT: [], misbehave: 'servfail' }
      world.dns.zone['mta-sts.strict.example'] = { misbehave: 'drop' }
      await world.policies.close()
      await world.restart()
      assert.match(await whyDeferred(world), /does not offer STARTTLS/)
      assert.doesNotMatch(mta.clear(), OF_THE_MAIL)
      mta.conduct = { credentials: world.authority.issue(FIRST) }
      const [delivery] = await mta.waitFor(1, 40_000)
      assert.match(delivery?.session.version ?? '', /^TLS/)
    } finally {
      await world.close()
    }
  })

  it('S33: a policy with a new id is seen before the mail is given up', async () => {
    const world = await startOutbound(strict)
    try {
      world.mta(FIRST).conduct = { startTls: 'missing' }
      await world.send('bob@strict.example')
      await whyDeferred(world)
      world.policies.publish('strict.example', { mode: 'none', mx: [] })
      const [delivery] = await world.mta(FIRST).waitFor(1, 40_000)
      assert.equal(delivery?.session.version, undefined)
    } finally {
      await world.close()
    }
  })

  it('two workers keep the same policy', async () => {
    const world = await startOutbound({
      ...strict,
      files: (context) => ({ ...strict.files?.(context), 'config/smtp.ini': 'nodes=2\n' }),
    })
    try {
      const mta = world.mta(FIRST)
      mta.conduct = { startTls: 'missing' }
      const count = 8
      for (let at = 0; at < count; at += 1) await world.send('bob@strict.example')
      await mta.waitForSessions(count)
      assert.doesNotMatch(mta.clear(), OF_THE_MAIL)
      mta.conduct = { credentials: world.authority.issue(FIRST) }
      for (const { session } of await mta.waitFor(count, 40_000))
        assert.match(session.version ?? '', /^TLS/)
    } finally {
      await world.close()
    }
  })
})

describe('hisho/mta_sts', () => {
  const options: OutboundOptions = {
    hosts: [FIRST],
    zone: { 'strict.example': { MX: [`10 ${FIRST}`] } },
    publish: (policies) => policies.publish('strict.example', { mode: 'enforce', mx: [FIRST] }),
    files: () => ({ 'config/outbound.ini': KEEP_LONG }),
  }

  it('is switched off, and on, while Haraka runs', async () => {
    const world = await startOutbound(options)
    try {
      world.mta(FIRST).conduct = { credentials: world.stranger.issue(FIRST) }
      await world.send('bob@strict.example')
      assert.match(await whyDeferred(world), /nobody we trust/)
      const file = join(world.haraka.directory, 'config', 'hisho.mta_sts.ini')
      writeFileSync(file, '[main]\nenabled=false\n')
      await world.haraka.waitForLog(/hisho\.mta_sts\.ini read again/)
      await world.send('bob@strict.example')
      await world.mta(FIRST).waitFor(1)
    } finally {
      await world.close()
    }
  })

  it('does not start where Haraka is to speak no TLS', async () => {
    await assert.rejects(
      startOutbound({
        ...options,
        files: () => ({ 'config/outbound.ini': 'enable_tls=false\n' }),
      }),
      /hisho does not start: outbound\.ini enable_tls=false/,
    )
  })
})
