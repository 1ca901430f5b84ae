import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../../lib/errors.ts'
import type { PeriodKind } from '../../../lib/ibe/period.ts'
import {
  formatGenerations,
  formatGenerationsPath,
  formatIssuedKey,
  formatKeyRequest,
  formatRefusal,
  GENERATIONS_PATH,
  parseGenerations,
  parseGenerationsQuery,
  parseIssuedKey,
  parseKeyRequest,
  parseRefusal,
  REFUSALS,
  type Refusal,
} from '../../../lib/ibe/remote/protocol.ts'

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')
const scheme = fc.constantFrom('bf' as const, 'cc' as const, 'bb2' as const)
const domain = fc.constantFrom('b.example', 'xn--rhqv96g.example', 'a-b.c.example')
const serial = fc.integer({ min: 0, max: 0xffff_ffff })
const period = fc.constantFrom<PeriodKind>('none', 'day', 'week', 'month')
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const REFUSAL_NAMES = Object.keys(REFUSALS) as Refusal[]

describe('the protocol between a gateway and its KGC', () => {
  it('a request comes back as it was formatted', () => {
    const identity = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(scheme, domain, serial, identity, (scheme, domain, n, identity) => {
        const request = { scheme, domain, n, identity }
        assert.deepEqual(parseKeyRequest(formatKeyRequest(request)), request)
        const path = formatGenerationsPath(domain, scheme)
        assert.ok(path.startsWith(`${GENERATIONS_PATH}?`))
        assert.deepEqual(parseGenerationsQuery(path.slice(GENERATIONS_PATH.length + 1)), {
          domain,
          scheme,
        })
      }),
    )
  })

  it('an answer comes back as it was formatted', () => {
    const until = fc.option(fc.integer({ min: 0, max: 1e12 }), { nil: undefined })
    fc.assert(
      fc.property(bytes(48), bytes(96), until, (key, long, untilSeconds) => {
        const end = untilSeconds === undefined ? {} : { untilSeconds }
        for (const [scheme, issued] of [
          ['bf', { key, ...end }],
          ['cc', { key, ...end }],
          ['bb2', { key: long, ...end }],
        ] as const)
          assert.deepEqual(parseIssuedKey(textOf(formatIssuedKey(issued)), scheme), issued)
      }),
    )
  })

  it('generations come back, the newest first', () => {
    const list = fc.uniqueArray(fc.tuple(serial, period, bytes(96)), { selector: ([n]) => n })
    fc.assert(
      fc.property(list, (items) => {
        const generations = items.map(([n, period, publicKey]) => ({ n, period, publicKey }))
        assert.deepEqual(
          parseGenerations(textOf(formatGenerations(generations)), 'bf'),
          generations.toSorted((one, other) => other.n - one.n),
        )
      }),
    )
  })

  it('every refusal has its status, and counts with no other', () => {
    for (const refusal of REFUSAL_NAMES) {
      const text = textOf(formatRefusal(refusal))
      assert.equal(parseRefusal(REFUSALS[refusal], text), refusal)
      assert.equal(parseRefusal(418, text), undefined)
    }
    assert.equal(parseRefusal(403, '{"error":"because"}'), undefined)
    assert.equal(parseRefusal(403, '<html>'), undefined)
    assert.equal(parseRefusal(403, '{"error":["not-for-this-gateway"]}'), undefined)
  })

  const parsers: Readonly<Record<string, (text: string) => unknown>> = {
    parseKeyRequest,
    parseGenerationsQuery,
    parseIssuedKey: (text) => parseIssuedKey(text, 'bf'),
    parseGenerations: (text) => parseGenerations(text, 'bf'),
  }
  for (const [name, parse] of Object.entries(parsers)) {
    it(`${name} throws nothing but PermError kgc/refused, and quotes nothing`, () => {
      const text = fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.json(),
        fc
          .record(
            {
              scheme: fc.anything(),
              domain: fc.anything(),
              n: fc.anything(),
              identity: fc.anything(),
              key: fc.anything(),
              until: fc.anything(),
              generations: fc.oneof(fc.anything(), fc.array(fc.anything())),
            },
            { requiredKeys: [] },
          )
          .map((value) => JSON.stringify(value)),
      )
      fc.assert(
        fc.property(text, (given) => {
          try {
            parse(given)
          } catch (error) {
            assert.ok(error instanceof PermError && error.code === 'kgc/refused')
            assert.match(error.message, /^[A-Za-z]+: not as the KGC's protocol has it$/)
          }
        }),
      )
    })
  }

  const good = { scheme: 'bf', domain: 'b.example', n: 1, identity: 'bob@b.example#2026-11' }
  const bad: Readonly<Record<string, unknown>> = {
    'an unknown scheme': { ...good, scheme: 'rsa' },
    'a domain in another form': { ...good, domain: 'B.example' },
    'a domain with a dot at its end': { ...good, domain: 'b.example.' },
    'a negative serial': { ...good, n: -1 },
    'a serial that is no whole number': { ...good, n: 1.5 },
    'a serial of 33 bits': { ...good, n: 4_294_967_296 },
    'a serial as text': { ...good, n: '1' },
    'no identity': { ...good, identity: undefined },
    'an endless identity': { ...good, identity: 'x'.repeat(1025) },
    'a list': [good],
    nothing: null,
  }
  for (const [what, request] of Object.entries(bad)) {
    it(`a request with ${what} is refused`, () => {
      assert.throws(() => parseKeyRequest(JSON.stringify(request)), PermError)
    })
  }

  it('keys of another length, in loose base64, or with a strange end are refused', () => {
    const key = Buffer.alloc(48, 1).toString('base64')
    assert.equal(parseIssuedKey(JSON.stringify({ key }), 'bf').key.length, 48)
    for (const answer of [
      { key: Buffer.alloc(47).toString('base64') },
      { key: `${key}\n` },
      { key: `${key}====` },
      { key, until: -1 },
      { key, until: '5' },
      { key, until: 1.5 },
      {},
    ])
      assert.throws(() => parseIssuedKey(JSON.stringify(answer), 'bf'), PermError)
    assert.throws(() => parseIssuedKey(JSON.stringify({ key }), 'bb2'), PermError)
  })

  it('a serial that comes twice is refused: nobody could tell which one is meant', () => {
    const one = { n: 1, period: 'month' as const, publicKey: new Uint8Array(96) }
    assert.throws(() => parseGenerations(textOf(formatGenerations([one, one])), 'bf'), PermError)
  })

  it('a query has exactly its two values', () => {
    for (const query of [
      '',
      'domain=b.example',
      'domain=b.example&scheme=bf&x=1',
      'domain=b.example&domain=c.example&scheme=bf',
    ])
      assert.throws(() => parseGenerationsQuery(query), PermError)
  })
})
