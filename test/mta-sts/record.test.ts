import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { formatRecord, parseRecords } from '../../lib/mta-sts/record.ts'
import { readVectors } from '../support/vectors.ts'

interface Vector {
  readonly name: string
  readonly expect: 'found' | 'none'
  readonly texts: readonly (readonly string[])[]
  readonly id?: string
}

const { cases } = readVectors<{ cases: readonly Vector[] }>('mta-sts-record')
const bytes = (texts: readonly (readonly string[])[]): Uint8Array[][] =>
  texts.map((strings) => strings.map((text) => new TextEncoder().encode(text)))
const ID = fc.stringMatching(/^[A-Za-z0-9]{1,32}$/)

describe('an MTA-STS record', () => {
  for (const { name, expect, texts, id } of cases) {
    it(`${name}: ${expect}`, () => {
      const outcome = parseRecords(bytes(texts))
      if (expect === 'found') return assert.deepEqual(outcome, { status: 'found', id })
      assert.equal(outcome.status, 'none')
      assert.ok(outcome.status === 'none' && outcome.reason !== '')
    })
  }

  it('is read back as it was written, in however many strings', () => {
    const property = fc.property(ID, fc.nat(), (id, at) => {
      const text = formatRecord({ id })
      const cut = at % text.length
      const strings = [text.slice(0, cut), text.slice(cut)]
      assert.deepEqual(parseRecords(bytes([strings])), { status: 'found', id })
    })
    fc.assert(property)
  })

  it('is not written with an id that could not be read', () => {
    for (const id of ['', 'a-b', 'a'.repeat(33), '1;x=y', 'ä'])
      assert.throws(
        () => formatRecord({ id }),
        (error: unknown) => error instanceof PermError && error.code === 'mta-sts/policy',
      )
  })

  it('is an outcome, whatever the bytes', () => {
    const piece = fc.oneof(
      fc
        .constantFrom('v=STSv1;', 'id=', ';', ' ', '\t', '=', '1', 'x')
        .map((text) => new TextEncoder().encode(text)),
      fc.uint8Array({ maxLength: 5 }),
    )
    const texts = fc.array(fc.array(piece, { maxLength: 12 }), { maxLength: 4 })
    const property = fc.property(texts, (given) => {
      const outcome = parseRecords(given)
      if (outcome.status === 'found') assert.match(outcome.id, /^[A-Za-z0-9]{1,32}$/)
    })
    fc.assert(property, { numRuns: 2000 })
  })
})
