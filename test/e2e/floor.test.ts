// The least that mail to a domain gets: authenticated TLS, encrypted content, or one of the two. docs/mta_sts.md.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { isCiphertext } from '../support/arrival.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import { RETRY_PLUGIN, RETRY_FILES, retryUntil } from '../support/retry.ts'
import { makeSite } from '../support/site.ts'
import type { MtaDelivery } from '../support/smtp-mta.ts'

const HOST = 'mx.b.example'
const INBOX = 'mx.a.example'
const FLOORS = ['none', 'transport', 'content', 'either'] as const
/** What DNS says of a key for the domain. */
const KEYS = ['key', 'no-key', 'no-answer'] as const
/** Whether its servers can prove their names. */
const SERVERS = ['proven', 'unproven'] as const

/** For what is not planned by us: there is no DNS server for it in the world. */
const ROUTED = 'unproven.key.either.example'

const domainsOf = (floor: string): readonly string[] =>
  KEYS.flatMap((key) => SERVERS.map((servers) => `${servers}.${key}.${floor}.example`))

async function startFloors(plugins: readonly string[]): Promise<OutboundWorld> {
  const { records } = await makeSite('key.example')
  const domains = FLOORS.flatMap(domainsOf)
  const keyOf = (domain: string) => {
    if (domain.includes('.no-key.')) return { TXT: [] }
    return domain.includes('.key.')
      ? { TXT: records, ttl: 300 }
      : { TXT: [], misbehave: 'servfail' as const }
  }
  return startOutbound({
    hosts: [HOST, INBOX],
    zone: {
      ...Object.fromEntries(
        domains.flatMap((domain) => [
          [domain, { MX: [`10 ${HOST}`] }],
          [`_ibemailkey.${domain}`, keyOf(domain)],
        ]),
      ),
      'a.example': { MX: [`10 ${INBOX}`] },
    },
    publish: (policies) => {
      for (const domain of domains)
        if (domain.startsWith('proven')) policies.publish(domain, { mode: 'enforce', mx: [HOST] })
    },
    table: FLOORS.map((floor) => `  '*.${floor}.example': { floor: ${floor} }`).join('\n'),
    plugins: ['auth/flat_file', RETRY_PLUGIN, ...plugins],
    // Tried once more, and then returned.
    files: ({ port, addressOf }) => ({
      ...RETRY_FILES,
      'config/smtp_forward.ini': `enable_outbound=false\n[${ROUTED}]\nhost=${addressOf(HOST)}\nport=${port}\n`,
      'config/outbound.ini': 'temp_fail_intervals=1h\nlocal_mx_ok=true\n',
    }),
  })
}

let world: OutboundWorld

const inClear = (): void => {
  world.mta(HOST).conduct = { startTls: 'missing' }
}
const strange = (): void => {
  world.mta(HOST).conduct = { credentials: world.stranger.issue(HOST) }
}
async function delivered(to: string): Promise<MtaDelivery> {
  assert.equal((await world.send(to)).code, 250)
  const [delivery] = await world.mta(HOST).waitFor(1)
  assert.deepEqual(delivery?.to, [to])
  return delivery
}
const isEncrypted = ({ message }: MtaDelivery): boolean =>
  isCiphertext(Buffer.from(message, 'latin1')) && !message.includes('the secret of')
const isOverTls = ({ session }: MtaDelivery): boolean => session.version !== undefined

/** Put off with that reason, and nothing of it said. */
async function waits(to: string, reason: RegExp, subject?: string): Promise<void> {
  assert.equal((await world.send(to, subject)).code, 250)
  await world.haraka.waitForLog(/Temp failing .* for 3600 seconds: .*\n/)
  assert.match(world.haraka.log(), new RegExp(`Temp failing .* seconds: .*(?:${reason.source})`))
  assert.equal(world.mta(HOST).deliveries.length, 0)
  assert.doesNotMatch(world.mta(HOST).clear(), /MAIL|RCPT|DATA|secret/)
  assert.doesNotMatch(world.haraka.log(), /bounc/i)
}

/** Tried once more, in vain: what the sender gets. */
async function returned(): Promise<string> {
  const { deliveries } = world.mta(INBOX)
  await retryUntil(world.haraka, () => deliveries.length > 0)
  assert.equal(world.mta(HOST).deliveries.length, 0)
  assert.equal(deliveries[0]?.from, '')
  return deliveries[0]?.message ?? ''
}

async function emptyQueue(): Promise<void> {
  await retryUntil(world.haraka, () => world.haraka.queued().length === 0)
}

describe('with hisho/encrypt and hisho/mta_sts', () => {
  before(async () => {
    world = await startFloors(['hisho/encrypt', 'hisho/mta_sts'])
  })
  after(() => world?.close())
  beforeEach(async () => {
    await emptyQueue()
    world.reset()
  })

  describe('floor: none', () => {
    it('asks for nothing: mail without a key goes to whoever answers', async () => {
      inClear()
      const delivery = await delivered('bob@unproven.no-key.none.example')
      assert.ok(!isOverTls(delivery) && !isEncrypted(delivery))
      assert.doesNotMatch(world.haraka.log(), /; floor/)
    })

    it('leaves what is published in force', async () => {
      inClear()
      await waits('bob@proven.key.none.example', /does not offer STARTTLS/)
    })
  })

  describe('floor: transport', () => {
    it('is met by TLS to a server that proves its name', async () => {
      const delivery = await delivered('bob@proven.no-key.transport.example')
      assert.ok(isOverTls(delivery) && !isEncrypted(delivery))
      await world.haraka.waitForLog(/TLS, authenticated \(sts success\); floor met by transport/)
    })

    it('is not met by encrypted content', async () => {
      inClear()
      await waits('bob@unproven.key.transport.example', /does not offer STARTTLS/)
    })

    it('is not met by TLS to a server that anybody could be', async () => {
      await waits(
        'bob@unproven.no-key.transport.example',
        /its certificate is not for unproven\.no-key\.transport\.example/,
      )
    })

    it('stays where the message says TLS-Required: No', async () => {
      inClear()
      await waits(
        'bob@proven.no-key.transport.example',
        /does not offer STARTTLS/,
        'a wish\r\nTLS-Required: No',
      )
    })
  })

  describe('floor: content', () => {
    it('is met by encrypted content, over any connection', async () => {
      inClear()
      const delivery = await delivered('bob@unproven.key.content.example')
      assert.ok(!isOverTls(delivery) && isEncrypted(delivery))
      await world.haraka.waitForLog(/; floor met by content/)
    })

    it('refuses mail without a key at once, however good the server', async () => {
      const { code, text } = await world.send('bob@proven.no-key.content.example')
      assert.equal(code, 550)
      assert.match(text, /encryption is required for proven\.no-key\.content\.example/)
    })

    it('puts mail off while DNS cannot say whether there is a key', async () => {
      const { code } = await world.send('bob@proven.no-answer.content.example')
      assert.ok(code >= 400 && code < 500, String(code))
    })
  })

  describe('floor: either', () => {
    it('is met by encrypted content, over any connection', async () => {
      inClear()
      const delivery = await delivered('bob@unproven.key.either.example')
      assert.ok(!isOverTls(delivery) && isEncrypted(delivery))
      await world.haraka.waitForLog(/; floor met by content/)
    })

    it('is met by encrypted content, to whoever answers over TLS', async () => {
      strange()
      const delivery = await delivered('bob@unproven.key.either.example')
      assert.ok(isOverTls(delivery) && isEncrypted(delivery))
      await world.haraka.waitForLog(/; floor met by content/)
    })

    for (const [key, why] of [
      ['no-key', 'there is no key'],
      ['no-answer', 'nobody can say whether there is a key'],
    ] as const) {
      it(`is met by TLS to a server that proves its name, where ${why}`, async () => {
        const delivery = await delivered(`bob@proven.${key}.either.example`)
        assert.ok(isOverTls(delivery) && !isEncrypted(delivery))
        await world.haraka.waitForLog(/; floor met by transport/)
      })

      it(`is not met by a server that anybody could be, where ${why}: the mail is returned in the end`, async () => {
        const domain = `unproven.${key}.either.example`
        await waits(`bob@${domain}`, new RegExp(`its certificate is not for ${domain}`))
        const bounce = await returned()
        assert.match(bounce, /^Status: 5\.7\./m)
        assert.match(bounce, new RegExp(`${domain}: mx\\.b\\.example: its certificate is not for`))
      })

      it(`is not met without STARTTLS, where ${why}: the mail is returned in the end`, async () => {
        inClear()
        const domain = `proven.${key}.either.example`
        await waits(`bob@${domain}`, /does not offer STARTTLS/)
        assert.match(await returned(), /mx\.b\.example: it does not offer STARTTLS/)
      })
    }

    it('is met in the end by the server that mends itself', async () => {
      strange()
      await waits('bob@proven.no-key.either.example', /nobody we trust vouches/)
      const { deliveries, conduct } = world.mta(HOST)
      world.mta(HOST).conduct = { ...conduct, credentials: world.authority.issue(HOST) }
      await retryUntil(world.haraka, () => deliveries.length > 0)
      assert.ok(isOverTls(deliveries[0]!))
    })
  })
})

describe('with hisho/encrypt alone', () => {
  before(async () => {
    world = await startFloors(['hisho/encrypt', 'queue/smtp_forward'])
  })
  after(() => world?.close())
  beforeEach(async () => {
    await emptyQueue()
    world.reset()
  })

  for (const to of ['bob@proven.no-key.transport.example', 'bob@proven.no-key.either.example']) {
    it(`the gate holds mail to ${to}`, async () => {
      await waits(to, /Temporary MX lookup error/)
      await world.haraka.waitForLog(
        /the floor of .* is (?:transport|either), and neither hisho\/mta_sts nor hisho\/dane is there to keep it: held back/,
      )
      assert.equal(world.mta(HOST).sessions.length, 0)
    })
  }

  it('what is encrypted goes, where either will do', async () => {
    const delivery = await delivered(`bob@${ROUTED}`)
    assert.ok(isEncrypted(delivery))
  })
})
