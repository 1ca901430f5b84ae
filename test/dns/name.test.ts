import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseName } from '../../lib/dns/name.ts'
import { PermError } from '../../lib/errors.ts'

const malformed = (error: unknown): boolean =>
  error instanceof PermError && error.code === 'dns/malformed'

describe('a domain name', () => {
  it('is brought to lower case and loses its final dot', () => {
    assert.equal(parseName('_25._TCP.Mx.Example.COM.'), '_25._tcp.mx.example.com')
    assert.equal(parseName('xn--bcher-kva.example'), 'xn--bcher-kva.example')
  })

  it('may be 253 characters long, each label 63', () => {
    const label = 'a'.repeat(63)
    const longest = [label, label, label, 'a'.repeat(61)].join('.')
    assert.equal(parseName(longest).length, 253)
    assert.throws(() => parseName(`${longest}a`), malformed)
    assert.throws(() => parseName(`${label}a.example`), malformed)
  })

  it('is refused when it is empty, has an empty label, or is not in A-labels', () => {
    for (const text of [
      '',
      '.',
      '..',
      '.example',
      'a..b',
      'bücher.example',
      'a b',
      'a\0.example',
      'a\\.b',
      '\u212a.example',
    ]) {
      assert.throws(() => parseName(text), malformed, text)
    }
  })

  it('throws nothing but a PermError, and what it returns it takes again', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.domain(), fc.string({ unit: 'grapheme' })), (text) => {
        let name: string
        try {
          name = parseName(text)
        } catch (error) {
          return assert.ok(malformed(error))
        }
        assert.equal(parseName(name), name)
      }),
    )
  })
})
