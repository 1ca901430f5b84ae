import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isWithinDomain } from '../../lib/x509/domain-name.ts'
import { isForHost } from '../../lib/x509/host-name.ts'
import { certify } from '../support/certificates.ts'

const HOST = 'mx.example.com'

function called(subject: string, names?: string): Uint8Array {
  return certify(subject, {
    extensions: names === undefined ? [] : [`subjectAltName=${names}`],
  }).der
}

describe('a certificate and a host', () => {
  const isFor = (der: Uint8Array, host = HOST): boolean => isForHost(der, host, 'never')

  it('S28, D26: one of its DNS-IDs is the name, in any case of letters', () => {
    const der = called('/CN=x', 'DNS:other.example,DNS:MX.Example.com')
    assert.equal(isFor(der), true)
    assert.equal(isFor(der, 'Mx.example.COM'), true)
    assert.equal(isFor(der, 'example.com'), false)
    assert.equal(isFor(der, 'a.mx.example.com'), false)
  })

  it('S28: the common name is none', () => {
    const der = called(`/CN=${HOST}`)
    assert.equal(isFor(der), false)
    assert.equal(isForHost(der, HOST, 'fallback'), true)
    assert.equal(isForHost(called(`/CN=${HOST}`, 'DNS:x.example'), HOST, 'fallback'), false)
  })

  it('S28, D26: a wildcard is the whole left-most label, and stands for one', () => {
    const one = called('/CN=x', 'DNS:*.example.com')
    assert.equal(isFor(one), true)
    assert.equal(isFor(one, 'example.com'), false)
    assert.equal(isFor(one, 'a.mx.example.com'), false)
    for (const name of ['m*.example.com', '*x.example.com', 'mx.*.com', '*', '*.com', '*.*.com'])
      assert.equal(isFor(called('/CN=x', `DNS:${name}`)), false, name)
  })

  it('an address is no DNS-ID, and neither are other kinds of name', () => {
    assert.equal(isFor(called('/CN=x', `URI:https://${HOST},email:a@${HOST},IP:192.0.2.1`)), false)
  })
})

describe('a certificate and a domain', () => {
  it('is for it, or for something below it', () => {
    const names = ['example.com', HOST, 'a.b.example.com', '*.example.com']
    for (const name of names)
      assert.equal(isWithinDomain(called('/CN=x', `DNS:${name}`), 'example.com'), true, name)
    for (const name of ['example.org', 'badexample.com', 'com', '*.com'])
      assert.equal(isWithinDomain(called('/CN=x', `DNS:${name}`), 'example.com'), false, name)
  })

  it('does not go by the common name, nor by what looks like a list of names', () => {
    assert.equal(isWithinDomain(called(`/CN=${HOST}`), 'example.com'), false)
    for (const kind of ['URI', 'DNS', 'email']) {
      const list = ['[list]', `${kind}.1=http://x/\\, DNS:${HOST}`]
      const { der } = certify('/CN=x', { extensions: ['subjectAltName=@list', ...list] })
      assert.equal(isWithinDomain(der, 'example.com'), false, kind)
    }
  })
})
