import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HishoError, PermError, TempError } from '../../lib/errors.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import { parseFields } from '../../lib/mail/header.ts'
import type { Offer, Scheme } from '../../lib/mail/scheme.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { decide, decideFor, type OutgoingOptions } from '../../lib/protection/decision.ts'
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

  it('a scheme hears how the envelope writes an address that has another normal form', async () => {
    const heard: unknown[] = []
    const asking: Scheme = {
      ...scheme('ibe', () => 'offer'),
      offer: async ({ addresses, spellings }) =>
        void heard.push([addresses, [...(spellings ?? [])]]),
    }
    const members = ['Bob@B.example', 'carol@b.example'].map((address) => ({
      address,
      normal: normalizeAddress(address),
    }))
    const world = options(rule('encrypt: opportunistic'), asking)
    const party = { domain: 'b.example', rule: world.table.ruleFor('b.example'), members }
    await decideFor(party, undefined, world)
    assert.deepEqual(heard, [
      [['bob@b.example', 'carol@b.example'], [['bob@b.example', 'Bob@B.example']]],
    ])
  })

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

/** Knows keys of users, and asks nobody about their domain. */
function userScheme(name: string, ...users: readonly string[]): Scheme & { asked: string[][] } {
  const asked: string[][] = []
  return {
    asked,
    name,
    detect: () => false,
    open: async () => ({ status: 'closed', reason: 'never' }),
    offer: async ({ addresses }) => {
      asked.push([...addresses])
      const known = addresses.filter((address) => users.includes(address))
      if (known.length === 0) return undefined
      const description = `${name} ${known.join(' ')}`
      return { scheme: name, description, addresses: known, seal: (_to, message) => message }
    },
  }
}

describe('keys of users', () => {
  const table =
    "domains: { k.example: { schemes: [psk, ibe] }, 'eve@k.example': { encrypt: never } }"
  const all = ['ann@k.example', 'Bob@k.example', 'cyd@k.example', 'eve@k.example']
  const shown = `To: ${all.join(', ')}\r\n`

  it('C21: whom the first scheme does not reach the next one is asked for; each has exactly one', async () => {
    const users = userScheme('psk', 'ann@k.example', 'bob@k.example')
    const other = userScheme('ibe', 'ann@k.example', 'cyd@k.example')
    const groups = await planned(all, shown, options(table, other, users))
    assert.deepEqual(groups, [
      'clear eve@k.example: eve@k.example: never',
      'seal ann@k.example Bob@k.example: psk ann@k.example bob@k.example',
      'seal cyd@k.example: ibe cyd@k.example',
    ])
    assert.deepEqual(other.asked, [['cyd@k.example']])
  })

  it('C21: who has none of all is served as the line says, and the others as ever', async () => {
    const users = userScheme('psk', 'ann@k.example')
    const none = scheme('ibe', () => 'none')
    const groups = await planned(
      ['ann@k.example', 'bob@k.example'],
      shown,
      options(table, none, users),
    )
    assert.deepEqual(groups, [
      'clear bob@k.example: no key for k.example',
      'seal ann@k.example: psk ann@k.example',
    ])
    const strict = table.replace('schemes:', 'encrypt: required, schemes:')
    const refused = planned(['ann@k.example', 'bob@k.example'], shown, options(strict, none, users))
    await assert.rejects(refused, { code: 'protection/no-key' })
  })

  it('a domain that has a key as such is asked once, whatever the number of its users', async () => {
    let asked = 0
    const domain = scheme('ibe', () => {
      asked++
      return 'offer'
    })
    await planned(all.slice(0, 3), shown, options(table, domain))
    assert.equal(asked, 1)
  })

  it('C21: one that is not trusted gives way to another scheme where encryption is required', async () => {
    const strict = 'domains: { k.example: { encrypt: required, schemes: [psk, ibe] } }'
    const untrusted = scheme('psk', () => 'untrusted offer')
    const good = scheme('ibe', () => 'offer')
    assert.deepEqual(await planned(['ann@k.example'], '', options(strict, untrusted, good)), [
      'seal ann@k.example: ibe offer',
    ])
    const worse = scheme('ibe', () => 'none')
    await assert.rejects(planned(['ann@k.example'], '', options(strict, untrusted, worse)), {
      code: 'keys/untrusted',
    })
  })

  it('C17: while nobody can say, a broken key of another scheme is not taken for the whole answer', async () => {
    const world = options(
      table,
      scheme('psk', () => BROKEN),
      scheme('ibe', () => TEMP),
    )
    await assert.rejects(planned(['ann@k.example'], '', world), { code: 'dns/servfail' })
  })
})

describe('without a key', () => {
  const none = scheme('ibe', () => 'none')
  const at = async (line: string, more: Partial<OutgoingOptions> = {}): Promise<string> => {
    const table = `domains: { k.example: { schemes: [ibe], ${line} } }`
    try {
      const [group] = await planned(['x@k.example'], '', { ...options(table, none), ...more })
      return group?.split(' ')[0] ?? ''
    } catch (error) {
      assert.ok(error instanceof HishoError, String(error))
      return `${error.status} ${error.code}`
    }
  }
  const REFUSED = '5.7.3 protection/no-key'
  const yes = async (): Promise<boolean> => true
  const no = async (): Promise<boolean> => false
  const raised = { raisedBy: 'subject [secure]' }
  const cases: readonly [line: string, more: Partial<OutgoingOptions>, expected: string][] = [
    ['encrypt: required', {}, REFUSED],
    ['encrypt: required, on_no_key: hold', {}, 'hold'],
    ['encrypt: opportunistic', {}, 'clear'],
    ['encrypt: opportunistic, on_no_key: hold', {}, 'hold'],
    ['encrypt: opportunistic, on_no_key: reject', {}, REFUSED],
    ['encrypt: never, on_no_key: reject', {}, 'clear'],
    ['encrypt: opportunistic', raised, REFUSED],
    ['encrypt: never', raised, REFUSED],
    ['encrypt: opportunistic, on_no_key: hold', raised, 'hold'],
    ['encrypt: opportunistic', { answersEncrypted: yes }, REFUSED],
    ['encrypt: opportunistic, reply_plain: hold', { answersEncrypted: yes }, 'hold'],
    ['encrypt: opportunistic, reply_plain: allow', { answersEncrypted: yes }, 'clear'],
    ['encrypt: opportunistic', { answersEncrypted: no }, 'clear'],
    ['encrypt: never', { answersEncrypted: yes }, 'clear'],
  ]
  for (const [line, more, expected] of cases)
    it(`C17 C18 C20: { ${line} }${more.raisedBy ? ', asked for by the sender' : ''}${more.answersEncrypted === yes ? ', an answer to encrypted mail' : ''}: ${expected}`, async () =>
      assert.equal(await at(line, more), expected))

  it('C20: nor does an answer go in clear because a look-up failed or a key is broken', async () => {
    for (const failure of [TEMP, BROKEN]) {
      const table = 'domains: { k.example: { on_lookup_failure: send_plain } }'
      const world = options(
        table,
        scheme('ibe', () => failure),
      )
      const plan_ = planned(['x@k.example'], '', { ...world, answersEncrypted: yes })
      await assert.rejects(plan_, { code: 'protection/no-key' })
    }
  })

  it('C17: a broken key is waited for where nothing may go in clear', async () => {
    const table = 'domains: { k.example: { on_no_key: reject } }'
    const world = options(
      table,
      scheme('ibe', () => BROKEN),
    )
    await assert.rejects(planned(['x@k.example'], '', world), TempError)
  })

  it('C22: what is exempt is not encrypted, although there is a key; nothing is where the sender asks for it', async () => {
    const world = options(
      'domains: { k.example: {}, r.example: { encrypt: required }, n.example: { encrypt: required, exempt: [dsn] } }',
      scheme('ibe', () => 'offer'),
    )
    const exemptionOf = async () => 'dsn' as const
    const of = (address: string, more: Partial<OutgoingOptions> = {}) =>
      planned([address], '', { ...world, exemptionOf, ...more })
    assert.deepEqual(await of('x@k.example'), ['clear x@k.example: dsn: exempt (k.example)'])
    assert.deepEqual(await of('x@n.example'), ['clear x@n.example: dsn: exempt (n.example)'])
    assert.match((await of('x@r.example'))[0] ?? '', /^seal /)
    for (const address of ['x@k.example', 'x@n.example'])
      assert.match((await of(address, raised))[0] ?? '', /^seal /)
  })
})

const to = (address: string) => ({ address, domain: address.slice(address.lastIndexOf('@') + 1) })

/** As `plan`, with the reasons. */
async function planned(
  addresses: readonly string[],
  header: string,
  world: OutgoingOptions,
): Promise<string[]> {
  const fields = parseFields(new TextEncoder().encode(header))
  const groups = await planOutgoing(addresses.map(to), fields, undefined, world)
  return groups
    .map(
      ({ decision, recipients }) =>
        `${decision.kind} ${recipients.map(({ address }) => address).join(' ')}: ${decision.reason}`,
    )
    .sort()
}

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
