import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'

function policiesOf(lines: string) {
  return parseDomainTable(`local: [a.example]\nmta_sts:\n${lines}`, 'hisho.yaml', []).policies
}

describe('policies of our own in the table', () => {
  it('are read, with A-labels in lower case and two weeks as max_age', () => {
    assert.deepEqual(
      [...policiesOf("  a.example: { mode: testing, mx: [MX.a.example, '*.mail.a.example'] }\n")],
      [
        [
          'a.example',
          { mode: 'testing', maxAgeSeconds: 1_209_600, mx: ['mx.a.example', '*.mail.a.example'] },
        ],
      ],
    )
  })

  const errors = [
    ['b.example: { mode: none }', /2|3:.*mta_sts\.b\.example: is no domain of `local`/],
    ['a.example: { mode: strict }', /mode: must be one of enforce, testing, none/],
    ['a.example: { mx: [mx.a.example] }', /mode: must be one of/],
    ['a.example: { mode: enforce }', /mx/],
    ["a.example: { mode: enforce, mx: ['mx.*.a.example'] }", /mx/],
    ['a.example: { mode: enforce, mx: [192.0.2.1] }', /mx/],
    ['a.example: { mode: enforce, mx: [mx.a.example], max_age: 31557601 }', /max_age/],
    ['a.example: { mode: enforce, mx: [mx.a.example], max_age: -1 }', /max_age/],
    ['a.example: { mode: enforce, mx: [mx.a.example], max_age: 1.5 }', /max_age/],
    [
      'a.example: { mode: enforce, mx: [mx.a.example], maxage: 1 }',
      /no such key \(mode, mx, max_age\)/,
    ],
    ['a.example: { mode: enforce, mx: ["mx.a.example\\nmode: none"] }', /mx|two lines/],
  ] as const
  for (const [line, reason] of errors)
    it(`are refused with the place and the reason: ${line}`, () => {
      assert.throws(() => policiesOf(`  ${line}\n`), { code: 'table/malformed', message: reason })
    })
})
