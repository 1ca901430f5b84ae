import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { formatPolicy, parsePolicy } from '../../lib/mta-sts/policy.ts'
import { readVectors } from '../support/vectors.ts'

type Vector =
  | {
      readonly name: string
      readonly expect: 'policy'
      readonly text: string
      readonly value: {
        readonly mode: string
        readonly maxAgeSeconds: number
        readonly mx: string[]
      }
    }
  | {
      readonly name: string
      readonly expect: 'refused'
      readonly text: string
      readonly field: string
    }

const { cases } = readVectors<{ cases: readonly Vector[] }>('mta-sts-policy')
const LABEL = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?$/)
const HOST = fc
  .tuple(fc.array(LABEL, { maxLength: 4 }), fc.stringMatching(/^[a-z]{1,10}$/))
  .map(([labels, last]) => [...labels, last].join('.'))
const PATTERN = fc.oneof(
  HOST,
  HOST.map((host) => `*.${host}`),
)

describe('a policy file', () => {
  for (const vector of cases) {
    it(`${vector.name}: ${vector.expect}`, () => {
      if (vector.expect === 'policy') {
        const { lines, ...value } = parsePolicy(vector.text)
        assert.deepEqual(value, vector.value)
        const whole = vector.text.split(/\r?\n/).filter((line) => line.trim() !== '')
        assert.deepEqual(lines, whole, 'the lines are kept as they are, for reports')
        return
      }
      assert.throws(
        () => parsePolicy(vector.text),
        (error: unknown) => {
          assert.ok(error instanceof PermError)
          assert.equal(error.code, 'mta-sts/policy')
          assert.equal(error.message.split(':')[0], vector.field)
          return true
        },
      )
    })
  }

  it('is read back as it was written', () => {
    const some = fc.record({
      mode: fc.constantFrom('enforce' as const, 'testing' as const),
      mx: fc.array(PATTERN, { minLength: 1, maxLength: 5 }),
    })
    const none = fc.record({ mode: fc.constant('none' as const), mx: fc.array(PATTERN) })
    const age = fc.integer({ min: 0, max: 31_557_600 })
    const property = fc.property(fc.oneof(some, none), age, ({ mode, mx }, maxAgeSeconds) => {
      const text = formatPolicy({ mode, maxAgeSeconds, mx })
      const lines = text.split('\r\n').slice(0, -1)
      const policy = { mode, maxAgeSeconds, mx, lines }
      assert.deepEqual(parsePolicy(text), policy)
      assert.equal(formatPolicy(parsePolicy(text)), text)
    })
    fc.assert(property)
  })

  it('is not written if it could not be read back', () => {
    const good = { mode: 'enforce' as const, maxAgeSeconds: 60, mx: ['mx.example.com'] }
    for (const wrong of [
      { ...good, mx: [] },
      { ...good, mx: ['192.0.2.1'] },
      { ...good, mx: ['a.example\r\nmode: none'] },
      { ...good, maxAgeSeconds: 31_557_601 },
      { ...good, maxAgeSeconds: 1.5 },
      { ...good, maxAgeSeconds: -1 },
    ])
      assert.throws(
        () => formatPolicy(wrong),
        (error: unknown) => error instanceof PermError && error.code === 'mta-sts/policy',
      )
  })

  it('is a policy or refused, whatever the text', () => {
    const words = ['version', 'STSv1', 'mode', 'enforce', 'none', 'mx', 'max_age', ': ', ':', '60']
    const marks = ['\n', '\r\n', '*.', 'a.example', ' ', '\t', '\0', '\r', 'ä', '\u{10ffff}']
    const lines = ['version: STSv1\n', 'mode: enforce\n', 'mx: a.example\n', 'max_age: 60\n']
    const piece = fc.constantFrom(...words, ...marks, ...lines)
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join('')),
    )
    const property = fc.property(text, (given) => {
      try {
        const { mode, mx, maxAgeSeconds } = parsePolicy(given)
        assert.ok(mode === 'none' || mx.length > 0)
        assert.ok(maxAgeSeconds >= 0 && maxAgeSeconds <= 31_557_600)
        for (const pattern of mx) assert.match(pattern, /^(?:\*\.)?[a-z0-9][a-z0-9.-]*$/)
      } catch (error) {
        if (!(error instanceof PermError)) throw error
      }
    })
    fc.assert(property, { numRuns: 2000 })
  })
})
