import assert from 'node:assert/strict'
import { X509Certificate, createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { formatTlsa, parseTlsa, tlsaFor } from '../../lib/dane/tlsa.ts'
import { PermError } from '../../lib/errors.ts'
import { certify } from '../support/certificates.ts'

const malformed = (error: unknown): boolean =>
  error instanceof PermError && error.code === 'dns/malformed'

const byte = fc.nat({ max: 255 })
const anyRecord = fc.record(
  {
    usage: byte,
    selector: byte,
    matchingType: byte,
    certificate: fc.uint8Array({ minLength: 1 }),
  },
  { noNullPrototype: true },
)

describe('a TLSA record in presentation form', () => {
  it('is three numbers and hexadecimal digits, in groups perhaps', () => {
    const expected = {
      usage: 3,
      selector: 1,
      matchingType: 1,
      certificate: Uint8Array.of(0xd2, 0xab, 0xde),
    }
    assert.deepEqual(parseTlsa('3 1 1 d2abde'), expected)
    assert.deepEqual(parseTlsa(' 3\t1 1 D2 AbD e '), expected)
    assert.equal(formatTlsa(expected), '3 1 1 d2abde')
  })

  it('is refused otherwise', () => {
    for (const text of [
      '',
      '3 1 1',
      '3 1 1 0',
      '3 1 1 0x',
      '256 1 1 00',
      '-1 1 1 00',
      '03 1 1 00',
      '3 1 x 00',
      '3 1 1 00\n00',
    ])
      assert.throws(() => parseTlsa(text), malformed, text)
  })

  it('is read as it was written', () => {
    fc.assert(fc.property(anyRecord, (one) => assert.deepEqual(parseTlsa(formatTlsa(one)), one)))
  })

  it('throws nothing but a PermError, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseTlsa(text)
        } catch (error) {
          assert.ok(malformed(error))
        }
      }),
    )
  })
})

describe('the record for a certificate', () => {
  it('has what the selector and the matching type say', () => {
    const { der } = certify('/CN=mx.example.com')
    const key = new X509Certificate(der).publicKey.export({ type: 'spki', format: 'der' })
    const association = (selector: number, matchingType: number): Buffer =>
      Buffer.from(tlsaFor(der, { usage: 3, selector, matchingType }).certificate)
    const hash = (name: string, data: Uint8Array): Buffer => createHash(name).update(data).digest()
    assert.deepEqual(association(0, 0), Buffer.from(der))
    assert.deepEqual(association(1, 0), key)
    assert.deepEqual(association(0, 1), hash('sha256', der))
    assert.deepEqual(association(1, 1), hash('sha256', key))
    assert.deepEqual(association(1, 2), hash('sha512', key))
  })
})
