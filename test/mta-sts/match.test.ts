import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { matchesMx } from '../../lib/mta-sts/match.ts'
import type { Policy } from '../../lib/mta-sts/policy.ts'
import { readVectors } from '../support/vectors.ts'

interface Vector {
  readonly pattern: string
  readonly host: string
  readonly expect: 'match' | 'no match'
}

const { cases } = readVectors<{ cases: readonly Vector[] }>('mta-sts-match')
const policyOf = (...mx: readonly string[]): Policy => ({
  mode: 'enforce',
  maxAgeSeconds: 60,
  mx,
  lines: [],
})

describe('the hosts of a policy', () => {
  for (const { pattern, host, expect } of cases) {
    it(`S27: ${pattern} and ${host || 'no name'}: ${expect}`, () => {
      assert.equal(matchesMx(policyOf(pattern), host), expect === 'match')
    })
  }

  it('S27: a wildcard stands for one label, not for none and not for two', () => {
    const label = fc.stringMatching(/^[a-z0-9]{1,8}$/)
    const property = fc.property(fc.array(label, { maxLength: 4 }), (labels) => {
      const host = [...labels, 'example.com'].join('.')
      assert.equal(matchesMx(policyOf('*.example.com'), host), labels.length === 1)
    })
    fc.assert(property)
  })

  it('S26: one of several patterns is enough, and none is no match', () => {
    const policy = policyOf('mx1.example.com', '*.example.net')
    assert.ok(matchesMx(policy, 'mx1.example.com'))
    assert.ok(matchesMx(policy, 'a.example.net'))
    assert.ok(!matchesMx(policy, 'mx2.example.com'))
    assert.ok(!matchesMx(policyOf(), 'mx1.example.com'))
  })
})
