import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { DEFAULT_RULE } from '../../lib/protection/domain-rule.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'

const parse = (text: string) =>
  parseDomainTable(text, 'hisho.yaml', [{ name: 'ibe' }, { name: 'psk' }])

const TABLE = parse(`
local: [a.example, BÜCHER.example, sub.own.example.]
domains:
  b.example: { encrypt: required, schemes: [psk, ibe] }
  '*.b.example': { encrypt: never }
  '*.deep.b.example': { encrypt: opportunistic, on_lookup_failure: send_plain }
  Straße.example: { encrypt: required }
  '*.xn--bcher-kva.example.org': { encrypt: required }
  '*': { encrypt: never }
`)

describe('the table of domains', () => {
  for (const [domain, pattern] of [
    ['b.example', 'b.example'],
    ['B.Example.', 'b.example'],
    ['x.b.example', '*.b.example'],
    ['deep.b.example', '*.b.example'],
    ['x.deep.b.example', '*.deep.b.example'],
    ['x.y.deep.b.example', '*.deep.b.example'],
    ['bb.example', '*'],
    ['example', '*'],
    ['straße.example', 'xn--strae-oqa.example'],
    ['xn--strae-oqa.example', 'xn--strae-oqa.example'],
    ['x.bücher.example.org', '*.xn--bcher-kva.example.org'],
    ['[192.0.2.1]', '*'],
    ['', '*'],
    ['__proto__', '*'],
  ] as const) {
    it(`${domain || '(none)'} is governed by ${pattern}`, () =>
      assert.equal(TABLE.ruleFor(domain).pattern, pattern))
  }

  it('a rule holds what the table says', () => {
    assert.deepEqual(TABLE.ruleFor('b.example'), {
      ...DEFAULT_RULE,
      pattern: 'b.example',
      encrypt: 'required',
      schemes: ['psk', 'ibe'],
      onLookupFailure: 'defer',
      onNoKey: 'reject',
      exempt: [],
    })
    assert.equal(TABLE.ruleFor('x.deep.b.example').onLookupFailure, 'send_plain')
  })

  it('without a line for it a domain is encrypted to if it has keys, and deferred when nobody knows', () => {
    for (const text of [
      '',
      'local: []',
      'domains: {}',
      'domains: { b.example: { encrypt: never } }',
    ])
      assert.deepEqual(parse(text).ruleFor('c.example'), DEFAULT_RULE)
    assert.equal(DEFAULT_RULE.encrypt, 'opportunistic')
    assert.equal(DEFAULT_RULE.onLookupFailure, 'defer')
  })

  for (const [domain, local] of [
    ['a.example', true],
    ['A.EXAMPLE', true],
    ['a.example.', true],
    ['x.a.example', false],
    ['bücher.example', true],
    ['xn--bcher-kva.example', true],
    ['sub.own.example', true],
    ['own.example', false],
    ['', true], // postmaster
  ] as const) {
    it(`${domain || '(none)'} is ${local ? 'ours' : 'not ours'}`, () =>
      assert.equal(TABLE.isLocal(domain), local))
  }

  it('the table that we ship is one', () => {
    const text = readFileSync(join(process.cwd(), 'config', 'hisho.yaml'), 'utf8')
    assert.equal(
      parseDomainTable(text, 'hisho.yaml', [{ name: 'ibe' }]).ruleFor('b.example').pattern,
      '*',
    )
  })
})

describe('a table with an error', () => {
  const domain = (rule: string): string => `domains:\n  b.example:\n    ${rule}\n`
  const cases: readonly [title: string, text: string, message: string | RegExp][] = [
    ['no mapping', '- a\n', 'hisho.yaml:1:1: must be a mapping'],
    [
      'an unknown key',
      'locl: []\n',
      'hisho.yaml:1:7: locl: no such key (local, senders, mta_sts, domains)',
    ],
    ['no list of own domains', 'local: a.example\n', 'hisho.yaml:1:8: local: must be a list'],
    [
      'no domain of ours',
      'local: [a.example, "a b"]\n',
      'hisho.yaml:1:20: local.1: not a domain name',
    ],
    [
      'an own domain that is a number',
      'local: [1]\n',
      'hisho.yaml:1:9: local.0: not a domain name',
    ],
    ['an own wildcard', "local: ['*.a.example']\n", /^hisho\.yaml:1:9: local\.0/],
    [
      'no mapping of domains',
      'domains: [b.example]\n',
      'hisho.yaml:1:10: domains: must be a mapping',
    ],
    [
      'no domain',
      'domains:\n  "b..example": {}\n',
      /^hisho\.yaml:2:\d+: domains\.b\.\.example: not a domain name/,
    ],
    [
      'a path',
      'domains:\n  b.example/x: {}\n',
      /^hisho\.yaml:2:\d+: domains\.b\.example\/x: not a domain name/,
    ],
    ['an escape', 'domains:\n  "%62.example": {}\n', /not a domain name/],
    ['no address', 'domains:\n  bob@@b.example: {}\n', /not a domain name/],
    ['all addresses of a domain', "domains:\n  '*@b.example': {}\n", /not a domain name/],
    ['a wildcard within', 'domains:\n  b.*.example: {}\n', /not a domain name/],
    [
      'a domain twice in other letters',
      'domains:\n  b.example: { encrypt: required }\n  B.EXAMPLE.: { encrypt: never }\n',
      /^hisho\.yaml:3:15: domains\.B\.EXAMPLE\.: stands here twice, as b\.example$/,
    ],
    ['a wildcard twice', "domains:\n  '*.b.example': {}\n  '*.B.example': {}\n", /twice/],
    [
      'nothing for a domain',
      'domains:\n  b.example:\n',
      /^hisho\.yaml:2:\d+: domains\.b\.example: must be a mapping$/,
    ],
    [
      'a mode that is none',
      domain('encrypt: allways'),
      'hisho.yaml:3:14: domains.b.example.encrypt: must be one of never, opportunistic, required',
    ],
    [
      'a mode that is true',
      domain('encrypt: true'),
      'hisho.yaml:3:14: domains.b.example.encrypt: must be one of never, opportunistic, required',
    ],
    [
      'a mode left empty',
      domain('encrypt:'),
      /^hisho\.yaml:3:\d+: domains\.b\.example\.encrypt: must be one of/,
    ],
    [
      'an unknown key of a rule',
      domain('encrpyt: required'),
      /^hisho\.yaml:3:14: domains\.b\.example\.encrpyt: no such key \(encrypt, scheme, schemes, .*, transport, floor\)$/,
    ],
    [
      'an unknown scheme',
      domain('schemes: [rot13]'),
      'hisho.yaml:3:15: domains.b.example.schemes.0: must be one of ibe, psk',
    ],
    [
      'no scheme',
      domain('schemes: []'),
      'hisho.yaml:3:14: domains.b.example.schemes: must name at least one scheme',
    ],
    [
      'schemes as a text',
      domain('schemes: ibe'),
      'hisho.yaml:3:14: domains.b.example.schemes: must be a list',
    ],
    [
      'a wrong answer to failures',
      domain('on_lookup_failure: shrug'),
      'hisho.yaml:3:24: domains.b.example.on_lookup_failure: must be one of defer, send_plain',
    ],
    [
      'required and in clear',
      domain('encrypt: required\n    on_lookup_failure: send_plain'),
      'hisho.yaml:4:24: domains.b.example.on_lookup_failure: send_plain contradicts encrypt: required',
    ],
  ]
  for (const [title, text, message] of cases) {
    it(`is refused, and the error names the place: ${title}`, () => {
      assert.throws(
        () => parse(text),
        (error: unknown) => {
          assert.ok(error instanceof PermError)
          assert.equal(error.code, 'table/malformed')
          if (typeof message === 'string') assert.equal(error.message, message)
          else assert.match(error.message, message)
          return true
        },
      )
    })
  }

  it('never throws anything but a PermError', () => {
    const word = fc.constantFrom(
      'local',
      'domains',
      'encrypt',
      'schemes',
      'required',
      'ibe',
      'b.example',
      "'*'",
      '*',
      ':',
      ': ',
      '\n',
      '\n  ',
      '\n    ',
      '[',
      ']',
      '{',
      '}',
      '- ',
      '&a ',
      '*a',
      '~',
      '0',
      'ü',
    )
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        try {
          const table = parse(words.join(''))
          table.ruleFor('b.example')
          table.isLocal('b.example')
        } catch (error) {
          assert.ok(error instanceof PermError, String(error))
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('a line takes what it does not say from the less specific ones', () => {
  const lines = (text: string) => parse(`domains:\n${text}\n`)

  it('by key: the address, its domain, wildcards by length, all', () => {
    const table = lines(`
  '*': { schemes: [psk], on_lookup_failure: send_plain, exempt: [dsn] }
  '*.example': { params_trust: [dnssec], failed_signature: reject }
  b.example: { encrypt: opportunistic, params_trust: [doh, dnssec] }
  alice@b.example: { encrypt: required, on_lookup_failure: defer }`)
    const alice = table.ruleForAddress('Alice@B.example')
    assert.equal(alice.pattern, 'alice@b.example')
    assert.deepEqual(
      [alice.encrypt, alice.schemes, alice.paramsTrust, alice.onLookupFailure],
      ['required', ['psk'], ['doh', 'dnssec'], 'defer'],
    )
    const bob = table.ruleForAddress('bob@b.example')
    assert.equal(bob, table.ruleFor('b.example'))
    assert.deepEqual([bob.encrypt, bob.onLookupFailure], ['opportunistic', 'send_plain'])
    assert.equal(bob.failedSignature, 'reject')
    assert.equal(table.ruleFor('c.example').failedSignature, 'reject')
    assert.equal(table.ruleFor('c.test').failedSignature, DEFAULT_RULE.failedSignature)
    assert.equal(table.ruleForAddress('alice@c.test').pattern, '*')
  })

  for (const [address, pattern] of [
    ['ALICE@b.example', 'alice@b.example'],
    ['"alice"@b.example', 'alice@b.example'],
    ['alice@B.EXAMPLE.', 'alice@b.example'],
    ['a"lice@b.example', 'b.example'],
    ['alice@x.b.example', '*'],
    ['', '*'],
  ] as const)
    it(`${address || '(none)'} is governed by ${pattern}`, () => {
      const table = lines("  '*': {}\n  b.example: {}\n  Alice@b.example: { encrypt: required }")
      assert.equal(table.ruleForAddress(address).pattern, pattern)
    })

  it('what is for all is for whoever has a line of an address alone', () => {
    const table = lines("  '*': { encrypt: required }\n  alice@b.example: { schemes: [psk] }")
    assert.equal(table.ruleForAddress('alice@b.example').encrypt, 'required')
  })

  it('a floor of content raises what less specific lines say, and not what is said for the line', () => {
    const table = lines("  '*': { encrypt: never }\n  b.example: { floor: content }")
    assert.equal(table.ruleFor('b.example').encrypt, 'required')
    assert.equal(table.ruleFor('c.example').encrypt, 'never')
    const lifted = lines("  '*': { floor: content }\n  b.example: { floor: none }")
    assert.equal(lifted.ruleFor('b.example').encrypt, 'opportunistic')
  })

  it('nothing is exempt where encryption is required, unless it is named for that line', () => {
    const table = lines(`
  '*': { exempt: [dsn, mdn] }
  b.example: { encrypt: required }
  c.example: { encrypt: required, exempt: [tlsrpt] }
  '*.d.example': { encrypt: required }
  x.d.example: { exempt: [dmarc] }`)
    assert.deepEqual(table.ruleFor('o.example').exempt, ['dsn', 'mdn'])
    assert.deepEqual(table.ruleFor('b.example').exempt, [])
    assert.deepEqual(table.ruleFor('c.example').exempt, ['tlsrpt'])
    assert.deepEqual(table.ruleFor('x.d.example').exempt, ['dmarc'])
  })

  for (const [text, place] of [
    [
      "  '*': { on_lookup_failure: send_plain }\n  b.example: { encrypt: required }",
      'hisho.yaml:3:14: domains.b.example.on_lookup_failure: send_plain (of *) contradicts encrypt: required',
    ],
    [
      "  '*': { on_no_key: send_plain }\n  b.example: { encrypt: required }",
      'hisho.yaml:3:14: domains.b.example.on_no_key: send_plain (of *) contradicts encrypt: required',
    ],
    [
      '  b.example: { encrypt: required }\n  a@b.example: { on_no_key: send_plain }',
      'hisho.yaml:3:29: domains.a@b.example.on_no_key: send_plain contradicts encrypt: required',
    ],
    [
      "  '*': { on_no_key: hold }\n  b.example: { on_lookup_failure: send_plain }",
      'hisho.yaml:3:35: domains.b.example.on_lookup_failure: send_plain contradicts on_no_key: hold',
    ],
    [
      "  '*': { floor: content }\n  b.example: { encrypt: opportunistic }",
      'hisho.yaml:3:25: domains.b.example.encrypt: opportunistic contradicts floor: content',
    ],
    [
      '  b.example: { floor: content }\n  a@b.example: { encrypt: never }',
      'hisho.yaml:3:27: domains.a@b.example.encrypt: never contradicts floor: content',
    ],
    [
      "  '*': { transport: off }\n  b.example: { floor: transport }",
      'hisho.yaml:3:14: domains.b.example.transport: off (of *) contradicts floor: transport',
    ],
    [
      '  a@b.example: { transport: dane }',
      'hisho.yaml:2:29: domains.a@b.example.transport: is for a domain, not for one address',
    ],
  ] as const)
    it(`a contradiction that arises so is refused: ${text.trim().replaceAll('\n ', ';')}`, () => {
      assert.throws(() => lines(text), { code: 'table/malformed', message: place })
    })

  it('on_no_key is reject where encryption is required, and send_plain elsewhere', () => {
    const table = lines(
      "  '*': {}\n  b.example: { encrypt: required }\n  c.example: { on_no_key: hold }",
    )
    assert.deepEqual(
      ['x.test', 'b.example', 'c.example'].map((domain) => table.ruleFor(domain).onNoKey),
      ['send_plain', 'reject', 'hold'],
    )
  })
})

describe('the way to a domain in the table', () => {
  const ruleOf = (rule: string) =>
    parseDomainTable(`domains:\n  b.example: ${rule}\n`, 'hisho.yaml', []).ruleFor('b.example')

  it('is the policy of the domain, with no floor, unless something else is said', () => {
    assert.deepEqual([ruleOf('{}').transport, ruleOf('{}').floor], ['policy', 'none'])
    assert.equal(ruleOf('{ transport: dane }').transport, 'dane')
  })

  it('floor content means that encryption is required', () => {
    assert.equal(ruleOf('{ floor: content }').encrypt, 'required')
  })

  it('floor either lets what cannot be encrypted now go on to the other of the two', () => {
    assert.equal(ruleOf('{ floor: either }').onLookupFailure, 'send_plain')
    assert.equal(ruleOf('{ floor: either, on_lookup_failure: defer }').onLookupFailure, 'defer')
    assert.equal(ruleOf('{ floor: either, encrypt: required }').onLookupFailure, 'defer')
  })

  for (const rule of [
    '{ floor: content, encrypt: opportunistic }',
    '{ floor: content, encrypt: never }',
    '{ floor: transport, transport: off }',
    '{ floor: transport, transport: opportunistic }',
    '{ floor: transport, transport: encrypt }',
    '{ transport: tls }',
    '{ floor: both }',
  ])
    it(`is refused where it contradicts itself or says nothing we know: ${rule}`, () => {
      assert.throws(() => ruleOf(rule), {
        code: 'table/malformed',
        message: /contradicts|must be one of/,
      })
    })
})

describe('C2: what is not proven to be unaltered', () => {
  const table = (text: string) =>
    parseDomainTable(`domains:\n${text}`, 'hisho.yaml', [{ name: 'ibe' }])

  it('is opened only where a line of the domain says so, and closed again where a more specific one says that', () => {
    const { ruleFor } = table(
      "  '*.old.example': { unproven: open }\n  new.old.example: { unproven: close }\n",
    )
    assert.equal(ruleFor('very.old.example').unproven, 'open')
    assert.equal(ruleFor('new.old.example').unproven, 'close')
    assert.equal(ruleFor('other.example').unproven, 'close')
  })

  it('is for domains, in these words', () => {
    for (const line of ['ann@a.example: { unproven: open }', 'a.example: { unproven: yes }'])
      assert.throws(() => table(`  ${line}\n`), PermError)
  })
})
