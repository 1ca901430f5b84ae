import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import {
  formatIdentity,
  identityAt,
  normalizeAddress,
  parseIdentity,
} from '../../lib/ibe/identity.ts'
import { periodAt } from '../../lib/ibe/period.ts'
import { readVectors } from '../support/vectors.ts'
import { processorTime } from '../support/processor-time.ts'

interface Vectors {
  readonly addresses: readonly { text: string; expect: string; normal?: string }[]
  readonly periods: readonly { time: string; day: string; week: string; month: string }[]
  readonly identities: readonly {
    text: string
    expect: string
    address?: string
    domain?: string
    period?: string
  }[]
}

const vectors = readVectors<Vectors>('ibe-identity')
const isMalformed = { code: 'mail/malformed', statusClass: 5 }

describe('an address in its normal form', () => {
  for (const { text, expect, normal } of vectors.addresses) {
    it(`${JSON.stringify(text)}: ${expect}`, () => {
      if (expect === 'refused') assert.throws(() => normalizeAddress(text), isMalformed)
      else assert.equal(normalizeAddress(text), normal)
    })
  }

  it('a normal form is its own normal form, and nothing but PermError is thrown', () => {
    const letter = fc.constantFrom(
      'a',
      'J',
      '"',
      '\\',
      '.',
      ' ',
      '#',
      'K',
      '\u030c',
      '\u0331',
      '\u00fc',
    )
    const local = fc.oneof(fc.string({ unit: letter }), fc.string({ unit: 'binary' }))
    const quoted = local.map((text) => `"${text.replaceAll(/["\\]/g, '\\$&')}"`)
    const address = fc.tuple(
      fc.oneof(local, quoted),
      fc.constantFrom('b.example', 'B\u00fc.example', 'x@y'),
    )
    const property = fc.property(address, ([left, right]) => {
      try {
        const normal = normalizeAddress(`${left}@${right}`)
        assert.equal(normalizeAddress(normal), normal)
        assert.equal(normal, normal.normalize('NFC'))
        assert.doesNotMatch(normal, /[A-Z]/)
        assert.equal(parseIdentity(normal).address, normal)
        assert.equal(parseIdentity(formatIdentity(normal, '2026-11')).address, normal)
      } catch (error) {
        assert.ok(error instanceof PermError, String(error))
      }
    })
    fc.assert(property, { numRuns: 1000 })
  })
})

describe('a period', () => {
  for (const { time, day, week, month } of vectors.periods) {
    it(`of ${time}`, () => {
      const ms = Date.parse(time)
      assert.equal(periodAt('none', ms), undefined)
      assert.equal(periodAt('day', ms), day)
      assert.equal(periodAt('week', ms), week)
      assert.equal(periodAt('month', ms), month)
    })
  }

  it('whatever periodAt gives, an identity can have', () => {
    const kind = fc.constantFrom('day', 'week', 'month', 'none')
    const ms = fc.integer({ min: 0, max: Date.parse('2400-01-01') })
    const property = fc.property(kind, ms, (period, at) => {
      const identity = identityAt('a@b.example', period, at)
      const expected = { address: 'a@b.example', domain: 'b.example' }
      const named = periodAt(period, at)
      const whole = named === undefined ? expected : { ...expected, period: named }
      assert.deepEqual(parseIdentity(identity), whole)
    })
    fc.assert(property)
  })
})

describe('an identity', () => {
  for (const { text, expect, ...parts } of vectors.identities) {
    it(`${JSON.stringify(text)}: ${expect}`, () => {
      if (expect === 'refused') {
        assert.throws(() => parseIdentity(text), isMalformed)
        return
      }
      assert.deepEqual(parseIdentity(text), parts)
      assert.equal(formatIdentity(String(parts.address), parts.period), text)
    })
  }

  it('is refused a period that is none', () => {
    for (const period of ['', '2026', '2026-13', 'x']) {
      assert.throws(() => formatIdentity('a@b.example', period), isMalformed)
    }
  })

  it('nothing but PermError is thrown for any text', () => {
    const property = fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        parseIdentity(text)
      } catch (error) {
        assert.ok(error instanceof PermError, String(error))
      }
    })
    fc.assert(property)
  })

  it('a domain that is far too long is refused before its Punycode is looked at', () => {
    const took = processorTime()
    assert.throws(() => normalizeAddress(`a@xn--bcher-${'kva'.repeat(300_000)}`), PermError)
    assert.ok(took() < 1000)
  })
})
