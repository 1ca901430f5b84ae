import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HishoError, PermError, TempError } from '../../lib/errors.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import { parseFields } from '../../lib/mail/header.ts'
import type { Offer, Scheme } from '../../lib/mail/scheme.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { decide, type OutgoingOptions } from '../../lib/protection/decision.ts'
import { planOutgoing } from '../../lib/protection/outgoing.ts'

type Answer = 'offer' | 'untrusted offer' | 'none' | Error

/** A scheme that only knows what domains publish. */
function scheme(
  name: string,
  answerFor: (domain: string) => Answer,
  more: Pick<Offer, 'oneRecipient'> = {},
): Scheme {
  const offer: Offer = {
    scheme: name,
    description: `${name} offer`,
    seal: (_addresses, message) => message,
    ...more,
  }
  return {
    name,
    detect: () => false,
    open: async () => ({ status: 'closed', reason: 'never' }),
    offer: async ({ domain }) => {
      const answer = answerFor(domain)
      if (answer instanceof Error) throw answer
      if (answer === 'none') return undefined
      return answer === 'offer' ? offer : { ...offer, untrusted: 'the key is another one now' }
    },
  }
}

function options(
  table: string,
  ...schemes: readonly Scheme[]
): OutgoingOptions & { log_: string[] } {
  const log_: string[] = []
  return {
    table: parseDomainTable(table, 'hisho.yaml', [{ name: 'ibe' }, { name: 'psk' }]),
    schemes,
    normalizeAddress,
    log: (level, message) => void log_.push(`${level} ${message}`),
    log_,
  }
}

const TEMP = new TempError('dns/servfail', 'no answer')
const BROKEN = new PermError('ibe/parameters', 'broken record')
const rule = (text: string): string => `local: [a.example]\ndomains: { b.example: { ${text} } }`

describe('what mail to a domain gets', () => {
  const cases: readonly [mode: string, answer: Answer, expected: string][] = [
    ['encrypt: never', 'offer', 'clear'],
    ['encrypt: never', TEMP, 'clear'],
    ['encrypt: never', BROKEN, 'clear'],
    ['encrypt: opportunistic', 'offer', 'seal'],
    ['encrypt: opportunistic', 'none', 'clear'],
    ['encrypt: opportunistic', TEMP, '4.4.3 dns/servfail'],
    ['encrypt: opportunistic, on_lookup_failure: defer', TEMP, '4.4.3 dns/servfail'],
    ['encrypt: opportunistic, on_lookup_failure: send_plain', TEMP, 'clear'],
    ['encrypt: opportunistic, on_lookup_failure: send_plain', 'offer', 'seal'],
    ['encrypt: opportunistic', BROKEN, 'clear'],
    ['encrypt: required', 'offer', 'seal'],
    ['encrypt: required', 'none', '5.7.3 protection/no-key'],
    ['encrypt: required', TEMP, '4.4.3 dns/servfail'],
    ['encrypt: required', BROKEN, '4.7.3 protection/no-key'],
    ['encrypt: required', 'untrusted offer', '4.7.5 keys/untrusted'],
    ['encrypt: opportunistic', 'untrusted offer', 'seal'],
    ['encrypt: opportunistic, on_lookup_failure: send_plain', 'untrusted offer', 'seal'],
    ['encrypt: never', 'untrusted offer', 'clear'],
  ]
  for (const [mode, answer, expected] of cases) {
    const what = answer instanceof HishoError ? answer.message : answer
    it(`${mode}, and ${String(what)}: ${expected}`, async () => {
      const world = options(
        rule(mode),
        scheme('ibe', () => answer),
      )
      const outcome = await decide('b.example', undefined, world).then(
        (decision) => decision.kind,
        (error: unknown) => {
          assert.ok(error instanceof HishoError)
          return `${error.status} ${error.code}`
        },
      )
      assert.equal(outcome, expected)
    })
  }

  it('clear in spite of a failure is said in the log', async () => {
    for (const [mode, answer] of [
      ['on_lookup_failure: send_plain', TEMP],
      ['encrypt: opportunistic', BROKEN],
    ] as const) {
      const world = options(
        rule(mode),
        scheme('ibe', () => answer),
      )
      await decide('b.example', undefined, world)
      assert.match(world.log_.join('\n'), /^warn b\.example: .* sent in clear/)
    }
  })

  for (const mode of ['required', 'opportunistic']) {
    it(`a key that is not trusted is said in the log: ${mode}`, async () => {
      const world = options(
        rule(`encrypt: ${mode}`),
        scheme('ibe', () => 'untrusted offer'),
      )
      const error: unknown = await decide('b.example', undefined, world).catch((it: unknown) => it)
      assert.match(
        world.log_.join('\n'),
        /^warn b\.example: ibe offer: the key is another one now$/,
      )
      if (mode === 'opportunistic') return
      assert.ok(error instanceof TempError)
      assert.equal(error.peerText, 'the key of b.example has changed and is not confirmed')
    })
  }

  it('a local domain stays clear, whatever it publishes', async () => {
    const world = options(
      "local: [a.example]\ndomains: { '*': { encrypt: required } }",
      scheme('ibe', () => 'offer'),
    )
    assert.equal((await decide('a.example', undefined, world)).kind, 'clear')
  })

  for (const mode of ['required', 'opportunistic']) {
    it(`what is encrypted already satisfies ${mode}, and nobody is asked`, async () => {
      const world = options(
        rule(`encrypt: ${mode}`),
        scheme('ibe', () => assert.fail('asked')),
      )
      assert.equal((await decide('b.example', 'pgp-mime', world)).kind, 'ciphertext')
    })
  }

  for (const mode of [
    'required',
    'opportunistic',
    'opportunistic, on_lookup_failure: send_plain',
  ]) {
    it(`an unknown error never becomes "clear": ${mode}`, async () => {
      const bug = new TypeError('x is not a function')
      const world = options(
        rule(`encrypt: ${mode}`),
        scheme('ibe', () => bug),
      )
      await assert.rejects(decide('b.example', undefined, world), (error) => error === bug)
      const plan = planOutgoing(
        [{ address: 'x@b.example', domain: 'b.example' }],
        [],
        undefined,
        world,
      )
      await assert.rejects(plan, (error) => error === bug)
    })
  }

  describe('with several schemes', () => {
    const both = 'encrypt: required, schemes: [psk, ibe]'
    const described = async (first: Answer, second: Answer, mode = both): Promise<string> => {
      // In the list of this process they stand the other way round: the table has the order.
      const world = options(
        rule(mode),
        scheme('ibe', () => second),
        scheme('psk', () => first),
      )
      const decision = await decide('b.example', undefined, world)
      return decision.kind === 'seal' ? decision.offer.scheme : decision.kind
    }
    it('the first that offers is taken', async () =>
      assert.equal(await described('offer', 'offer'), 'psk'))
    it('one without an offer is passed over', async () =>
      assert.equal(await described('none', 'offer'), 'ibe'))
    it('a broken one is passed over', async () =>
      assert.equal(await described(BROKEN, 'offer'), 'ibe'))
    it('one of which nobody can say is waited for', async () => {
      await assert.rejects(described(TEMP, 'offer'), TempError)
    })
    it('a broken one and none is not taken for none', async () => {
      await assert.rejects(described(BROKEN, 'none'), TempError)
    })
    it('only those of the rule are asked', async () => {
      await assert.rejects(
        described('offer', 'none', 'encrypt: required, schemes: [ibe]'),
        PermError,
      )
    })
  })
})

const to = (address: string) => ({ address, domain: address.slice(address.lastIndexOf('@') + 1) })

async function plan(
  addresses: readonly string[],
  header: string,
  world: OutgoingOptions,
): Promise<string[]> {
  const fields = parseFields(new TextEncoder().encode(header))
  const groups = await planOutgoing(addresses.map(to), fields, undefined, world)
  return groups
    .map(
      (group) =>
        `${group.decision.kind} ${group.recipients.map(({ address }) => address).join(' ')}`,
    )
    .sort()
}

describe('the copies of a message', () => {
  const world = options(
    "local: [a.example]\ndomains: { '*': { encrypt: opportunistic } }",
    scheme('ibe', (domain) => (domain.startsWith('k') ? 'offer' : 'none')),
  )

  it('those of one domain whom all can see share one', async () => {
    assert.deepEqual(
      await plan(
        ['x@k.example', 'y@k.example'],
        'To: x@k.example\r\nCc: Y <y@k.example>\r\n',
        world,
      ),
      ['seal x@k.example y@k.example'],
    )
  })

  it('each domain has its own', async () => {
    assert.deepEqual(
      await plan(['x@k.example', 'y@k2.example'], 'To: x@k.example, y@k2.example\r\n', world),
      ['seal x@k.example', 'seal y@k2.example'],
    )
  })

  it('who is not in To or Cc has one alone', async () => {
    assert.deepEqual(
      await plan(
        ['x@k.example', 'y@k.example', 'z@k.example'],
        'To: x@k.example\r\nBcc: y@k.example\r\n',
        world,
      ),
      ['seal x@k.example', 'seal y@k.example', 'seal z@k.example'],
    )
  })

  it('case of the domain and of the local part hide nobody', async () => {
    assert.deepEqual(
      await plan(['X@K.Example', 'y@k.example'], 'To: x@k.EXAMPLE, "y"@k.example\r\n', world),
      ['seal X@K.Example y@k.example'],
    )
  })

  it('of a To that does not parse all are hidden', async () => {
    assert.deepEqual(
      await plan(['x@k.example', 'y@k.example'], 'To: <<< x@k.example, y@k.example\r\n', world),
      ['seal x@k.example', 'seal y@k.example'],
    )
  })

  it('all that stay clear share one', async () => {
    assert.deepEqual(
      await plan(
        ['u@a.example', 'x@k.example', 'p@plain.example', 'q@other.example'],
        'To: x@k.example\r\n',
        world,
      ),
      ['clear u@a.example p@plain.example q@other.example', 'seal x@k.example'],
    )
  })

  it('where the format knows one recipient a message each has one alone, seen or not', async () => {
    const legacy = options(
      "domains: { '*': { encrypt: opportunistic } }",
      scheme('ibe', () => 'offer', { oneRecipient: true }),
    )
    assert.deepEqual(
      await plan(
        ['x@k.example', 'y@k.example', 'z@k2.example'],
        'To: x@k.example, y@k.example\r\n',
        legacy,
      ),
      ['seal x@k.example', 'seal y@k.example', 'seal z@k2.example'],
    )
  })

  it('one domain that cannot be served stops the message', async () => {
    const strict = options(
      'domains: { plain.example: { encrypt: required } }',
      scheme('ibe', () => 'none'),
    )
    await assert.rejects(plan(['x@plain.example', 'y@k.example'], '', strict), PermError)
  })

  it('reach every recipient of any envelope exactly once, and no sealed one names a hidden recipient', async () => {
    const address = fc
      .tuple(
        fc.constantFrom('x', 'Y', 'z+t', '"q r"'),
        fc.constantFrom('a.example', 'k.example', 'K2.example', 'plain.example'),
      )
      .map(([local, domain]) => `${local}@${domain}`)
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(address), fc.array(address), async (envelope, shown) => {
        const recipients = envelope.map(to)
        const fields = parseFields(new TextEncoder().encode(`To: ${shown.join(', ')}\r\n`))
        const groups = await planOutgoing(recipients, fields, undefined, world)
        const reached = groups.flatMap((group) => group.recipients)
        assert.equal(reached.length, recipients.length)
        assert.equal(new Set(reached).size, recipients.length)
        const visible = new Set(shown.map(normalizeAddress))
        for (const { decision, recipients: members } of groups) {
          if (decision.kind !== 'seal') continue
          assert.equal(new Set(members.map(({ domain }) => domain.toLowerCase())).size, 1)
          assert.ok(
            members.length === 1 ||
              members.every((member) => visible.has(normalizeAddress(member.address))),
          )
        }
      }),
    )
  })
})
