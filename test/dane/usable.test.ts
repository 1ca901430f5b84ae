import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { usableRecords } from '../../lib/dane/usable.ts'
import { formatTlsa, parseTlsa, tlsaFor } from '../../lib/dane/tlsa.ts'
import { certify } from '../support/certificates.ts'

const SHA256 = 'ab'.repeat(32)
const SHA512 = 'cd'.repeat(64)

const { der } = certify('/CN=mx.example.com')
const whole = (selector: number): string =>
  formatTlsa(tlsaFor(der, { usage: 2, selector, matchingType: 0 }))

function usable(...texts: string[]): string[] {
  return usableRecords(texts.map(parseTlsa)).map(formatTlsa)
}

describe('usable TLSA records', () => {
  it('D19: DANE-TA and DANE-EE, whole certificates and keys, SHA2-256 and SHA2-512', () => {
    for (const usage of [2, 3])
      for (const selector of [0, 1]) {
        for (const text of [`${usage} ${selector} 1 ${SHA256}`, `${usage} ${selector} 2 ${SHA512}`])
          assert.deepEqual(usable(text), [text])
      }
    assert.deepEqual(usable(whole(0), whole(1)), [whole(0), whole(1)])
  })

  it('D23: PKIX-TA and PKIX-EE are not for mail', () => {
    assert.deepEqual(usable(`0 0 1 ${SHA256}`, `1 1 1 ${SHA256}`, `255 0 1 ${SHA256}`), [])
  })

  it('D8: beside one that can be used the others do not matter', () => {
    const good = `3 1 1 ${SHA256}`
    assert.deepEqual(usable(`1 1 1 ${SHA256}`, good, `3 1 9 ${SHA256}`), [good])
  })

  it('D6: other selectors and matching types cannot be used', () => {
    assert.deepEqual(usable(`3 2 1 ${SHA256}`, `3 255 1 ${SHA256}`, `3 1 3 ${SHA256}`), [])
  })

  it('D6: a digest of the wrong length cannot be used', () => {
    assert.deepEqual(
      usable(`3 1 1 ${SHA512}`, `3 1 2 ${SHA256}`, '3 1 1 00', `3 1 1 ${SHA256}00`),
      [],
    )
  })

  it('D6: a whole certificate or key is one, and has nothing behind it', () => {
    assert.deepEqual(usable(`${whole(0)}00`, `${whole(1)}00`, whole(0).slice(0, -2)), [])
    assert.deepEqual(usable(whole(0).replace('2 0 0', '2 1 0')), [])
    assert.deepEqual(usable(whole(1).replace('2 1 0', '2 0 0')), [])
    const pem = Buffer.from(certify('/CN=x').certificate).toString('hex')
    assert.deepEqual(usable(`3 0 0 ${pem}`), [])
  })

  it('D27: of several digests for one usage and selector the strongest counts alone', () => {
    assert.deepEqual(usable(`3 1 1 ${SHA256}`, `3 1 2 ${SHA512}`), [`3 1 2 ${SHA512}`])
    const two = [`3 1 2 ${SHA512}`, `3 1 2 ${'ef'.repeat(64)}`]
    assert.deepEqual(usable(...two, `3 1 1 ${SHA256}`), two)
  })

  it('D27: usages and selectors are apart from each other', () => {
    const all = [`3 1 2 ${SHA512}`, `3 0 1 ${SHA256}`, `2 1 1 ${SHA256}`]
    assert.deepEqual(usable(...all), all)
  })

  it('D27: a strong digest that cannot be used does not push a weaker one out', () => {
    assert.deepEqual(usable(`3 1 1 ${SHA256}`, `3 1 2 ${SHA256}`), [`3 1 1 ${SHA256}`])
  })

  it('D27: what stands there as a whole stays beside a digest', () => {
    const all = [whole(1), `2 1 2 ${SHA512}`]
    assert.deepEqual(usable(...all, `2 1 1 ${SHA256}`), all)
  })
})
