import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError, TempError } from '../../lib/errors.ts'
import {
  formatParameters,
  nameOf,
  parseParameters,
  selectParameters,
  withoutSignatures,
} from '../../lib/ibe/parameters.ts'
import type { Parameters } from '../../lib/ibe/parameters.ts'
import { fromHex, readVectors, toHex } from '../support/vectors.ts'

interface Vector {
  readonly name: string
  readonly expect: 'parameters' | 'legacy' | 'not ours' | 'refused'
  readonly text: string
  readonly tag?: string
  readonly value?: { readonly [field: string]: string | number }
}

const { cases } = readVectors<{ cases: readonly Vector[] }>('ibe-parameters')

describe('a parameter record', () => {
  for (const { name, expect, text, tag, value } of cases) {
    it(`${name}: ${expect}`, () => {
      switch (expect) {
        case 'refused':
          assert.throws(
            () => parseParameters(text),
            (error: unknown) => {
              assert.ok(error instanceof PermError)
              assert.equal(error.code, 'ibe/parameters')
              assert.equal(error.message.split(' ')[0], tag)
              return true
            },
          )
          break
        case 'not ours':
          assert.equal(parseParameters(text), undefined)
          break
        case 'legacy': {
          const parsed = parseParameters(text)
          assert.equal(parsed?.version, '1.0')
          assert.deepEqual({ n: parsed.n, g_x: toHex(parsed.g[0]) }, value)
          assert.equal(parsed.v.length, 12)
          break
        }
        case 'parameters': {
          const parsed = parseParameters(text)
          assert.equal(parsed?.version, '2.0')
          assert.deepEqual({ ...parsed, publicKey: toHex(parsed.publicKey) }, value)
          break
        }
      }
    })
  }

  it('is read back as it was written', () => {
    const base = {
      scheme: fc.constantFrom('bf' as const, 'cc' as const),
      n: fc.integer({ min: 0, max: 0xffff_ffff }),
      period: fc.constantFrom('none' as const, 'day' as const, 'week' as const, 'month' as const),
      publicKey: fc
        .uint8Array({ minLength: 96, maxLength: 96 })
        .map((bytes) =>
          Uint8Array.from(bytes, (byte, at) => (at === 0 ? 0x80 | (byte & 0x3f) : byte)),
        ),
    }
    const more = {
      notAfterSeconds: fc.integer({ min: 0, max: 999_999_999_999 }),
      signatures: fc.array(
        fc
          .tuple(base.n, fc.uint8Array({ minLength: 48, maxLength: 48 }))
          .map(([n, signature]) => ({ n, signature })),
        { minLength: 1, maxLength: 8 },
      ),
    }
    const parameters = fc.record(
      { ...base, ...more },
      { requiredKeys: ['scheme', 'n', 'period', 'publicKey'], noNullPrototype: true },
    )
    const property = fc.property(parameters, (value) => {
      const whole: Parameters = { version: '2.0', ...value }
      const text = formatParameters(whole)
      assert.deepEqual(parseParameters(text), whole)
      assert.ok(value.signatures || text.length <= 255, 'one string of a TXT record')
      assert.deepEqual(parseParameters(nameOf(whole)), withoutSignatures(whole))
    })
    fc.assert(property)
  })

  it('carries as many signatures as one likes, of which eight are read', () => {
    const text = String(cases.find(({ expect }) => expect === 'parameters')?.text).replace(
      /;\s*$/,
      '',
    )
    const one = Buffer.alloc(48, 1).toString('base64')
    const list = Array.from({ length: 12 }, (_, at) => ` ${at}:${one} `).join(',')
    const parsed = parseParameters(`${text}; s=${list}`)
    assert.equal(parsed?.version, '2.0')
    assert.deepEqual(
      parsed.signatures?.map(({ n }) => n),
      [0, 1, 2, 3, 4, 5, 6, 7],
    )
  })

  it('is parsed, refused as PermError or not ours, whatever the text', () => {
    const piece = fc.constantFrom(
      'ver=',
      '2.0',
      '1.0',
      ';',
      '=',
      'a',
      'bf',
      ' ',
      'n',
      'P',
      'AA==',
      'c=bls12-381',
    )
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: piece }).map((tail) => `ver=${tail}`),
    )
    const property = fc.property(text, (record) => {
      try {
        parseParameters(record)
      } catch (error) {
        assert.ok(error instanceof PermError, String(error))
      }
    })
    fc.assert(property, { numRuns: 500 })
  })
})

describe('the choice among records', () => {
  const key = fromHex(String(cases[0]?.value?.['publicKey']))
  const set = (n: number, more: Partial<Parameters<'bf'>> = {}): Parameters<'bf'> => ({
    version: '2.0',
    scheme: 'bf',
    n,
    period: 'none',
    publicKey: key,
    ...more,
  })
  const legacy = parseParameters(cases.find((one) => one.expect === 'legacy')!.text)!

  it('is the highest n of the scheme that is not past its time', () => {
    const signing: Parameters<'cc'> = { ...set(9), scheme: 'cc' }
    const records = [set(1), legacy, set(3, { notAfterSeconds: 1000 }), signing, set(2)]
    assert.equal(selectParameters(records, 'bf', 999)?.n, 3)
    assert.equal(selectParameters(records, 'bf', 1000)?.n, 3)
    assert.equal(selectParameters(records, 'bf', 1001)?.n, 2)
    assert.equal(selectParameters(records, 'cc', 0)?.n, 9)
    assert.equal(selectParameters(records, 'bb2', 0)?.version, '1.0')
  })

  it('is none where there is none', () => {
    assert.equal(selectParameters([], 'bf', 0), undefined)
    assert.equal(selectParameters([legacy], 'bf', 0), undefined)
    assert.equal(selectParameters([set(1, { notAfterSeconds: 5 })], 'bf', 6), undefined)
  })

  it('waits for the operator where two different sets claim the highest n', () => {
    const other = set(2, { publicKey: Uint8Array.from(key).fill(1, 40) })
    assert.throws(() => selectParameters([set(2), other], 'bf', 0), TempError)
    assert.equal(selectParameters([set(2), set(2)], 'bf', 0)?.n, 2)
    assert.equal(selectParameters([set(2), other, set(3)], 'bf', 0)?.n, 3)
  })
})
