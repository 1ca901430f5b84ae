import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { parseCertificate, publicKeyOf } from '../../lib/x509/certificate.ts'
import {
  TAG,
  readElement,
  readElements,
  readInteger,
  readObjectIdentifier,
} from '../../lib/x509/der.ts'
import { readTime } from '../../lib/x509/time.ts'
import { AUTHORITY, certify } from '../support/certificates.ts'

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

describe('DER', () => {
  it('is read element by element', () => {
    const [one, two, ...more] = readElements(readElement(bytes('3006 0101ff 020105')).content)
    assert.deepEqual([one?.tag, two?.tag, more.length], [TAG.boolean, TAG.integer, 0])
    assert.equal(readInteger(two), 5)
    const long = readElement(Uint8Array.from([0x04, 0x82, 0x01, 0x00, ...Buffer.alloc(256)]))
    assert.equal(long.content.length, 256)
  })

  for (const [what, hex] of [
    ['nothing', ''],
    ['a tag alone', '30'],
    ['less than the length says', '3003 0101'],
    ['more than the length says', '0101ff 00'],
    ['a length without an end', '3080 0000'],
    ['a length with a byte too many', '048101 00'],
    ['a length with a zero before it', '04820080' + '00'.repeat(128)],
    ['a length of five bytes', '04850000000001 00'],
    ['a tag of several bytes', '1f8101 00'],
  ] as const)
    it(`is not ${what}`, () => assert.throws(() => readElement(bytes(hex)), PermError))

  it('names objects', () => {
    const read = (hex: string): string => readObjectIdentifier(readElement(bytes(hex)))
    assert.equal(read('0603551d0f'), '2.5.29.15')
    assert.equal(read('06082b06010505070301'), '1.3.6.1.5.5.7.3.1')
    assert.equal(read('06092a864886f70d010105'), '1.2.840.113549.1.1.5')
    assert.throws(() => read('0600'), PermError)
    assert.throws(() => read('060281ff'), PermError)
    assert.throws(() => read('060a80ffffffffffffffff7f'), PermError)
  })

  it('tells times', () => {
    const read = (tag: number, text: string): number => {
      const content = Buffer.from(text)
      return readTime({ tag, content, bytes: content })
    }
    assert.equal(read(TAG.utcTime, '491231235959Z'), Date.UTC(2049, 11, 31, 23, 59, 59))
    assert.equal(read(TAG.utcTime, '500101000000Z'), Date.UTC(1950, 0, 1))
    assert.equal(read(TAG.generalizedTime, '20500101000000Z'), Date.UTC(2050, 0, 1))
    for (const text of ['4912312359Z', '491231235959+0000', '491331235959Z', '', 'x'])
      assert.throws(() => read(TAG.utcTime, text), PermError)
    assert.throws(() => read(TAG.integer, '491231235959Z'), PermError)
  })
})

describe('a certificate', () => {
  const root = certify('/CN=root', {
    extensions: ['basicConstraints=critical,CA:TRUE,pathlen:3', 'keyUsage=keyCertSign,cRLSign'],
  })
  const leaf = certify('/CN=x', {
    issuer: root,
    extensions: [
      'subjectAltName=DNS:a.example,DNS:b.example',
      'extendedKeyUsage=serverAuth',
      'keyUsage=critical,digitalSignature,keyAgreement',
      '1.2.3.4=critical,ASN1:UTF8String:x',
    ],
  })

  it('says what Node says of it, and more', () => {
    for (const { der } of [root, leaf]) {
      const ours = parseCertificate(der)
      const nodes = new X509Certificate(der)
      assert.equal(ours.notBeforeMs, Date.parse(nodes.validFrom))
      assert.equal(ours.notAfterMs, Date.parse(nodes.validTo))
      assert.equal(ours.isAuthority, nodes.ca)
      assert.equal(ours.isSelfIssued, nodes.issuer === nodes.subject)
      const key = nodes.publicKey.export({ type: 'spki', format: 'der' })
      assert.deepEqual(Buffer.from(ours.publicKey), key)
      assert.deepEqual(Buffer.from(publicKeyOf(der)), key)
    }
    assert.equal(parseCertificate(root.der).pathLength, 3)
    assert.deepEqual(parseCertificate(root.der).keyUsage, new Set(['keyCertSign', 'cRLSign']))
    const { keyUsage, extendedKeyUsage, alternativeNames, unknownCritical, pathLength } =
      parseCertificate(leaf.der)
    assert.deepEqual(keyUsage, new Set(['digitalSignature', 'keyAgreement']))
    assert.deepEqual(extendedKeyUsage, new Set(['1.3.6.1.5.5.7.3.1']))
    assert.equal(alternativeNames.length, 2)
    assert.deepEqual(unknownCritical, ['1.2.3.4'])
    assert.equal(pathLength, undefined)
  })

  it('throws nothing but a PermError, whatever the bytes', () => {
    const { der } = certify('/CN=x', {
      extensions: [...AUTHORITY, 'nameConstraints=critical,permitted;DNS:example.com'],
    })
    const mutated = fc
      .array(fc.tuple(fc.nat({ max: der.length - 1 }), fc.nat({ max: 255 })), { maxLength: 4 })
      .map((changes) => {
        const copy = Uint8Array.from(der)
        for (const [at, value] of changes) copy[at] = value
        return copy
      })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), mutated), (input) => {
        try {
          parseCertificate(input)
        } catch (error) {
          assert.ok(error instanceof PermError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
