import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatAuthResult, formatContentResult, formatMark } from '../../lib/mail/auth-results.ts'

describe('a result in Authentication-Results', () => {
  it('names the signer', () =>
    assert.equal(
      formatAuthResult({ status: 'pass', domain: 'a.example', identity: 'alice@a.example' }),
      'x-ibe-sig=pass header.d=a.example header.i=alice@a.example',
    ))

  it('of S/MIME is in the words of RFC 7281, and of OpenPGP in such words', () => {
    const result = { status: 'pass', domain: 'a.example', identity: 'alice@a.example' } as const
    assert.equal(
      formatContentResult({ method: 'smime', result }),
      'smime=pass body.smime-identifier=alice@a.example',
    )
    assert.equal(
      formatContentResult({
        method: 'x-openpgp',
        result: { ...result, status: 'neutral', reason: 'not trusted' },
      }),
      'x-openpgp=neutral reason="not trusted" body.openpgp-identifier=alice@a.example',
    )
    assert.equal(
      formatMark({ status: 'fail', reason: 'changed' }, 'smime'),
      'fail; method=smime; reason="changed"',
    )
  })

  it('says why not', () => {
    assert.equal(formatAuthResult({ status: 'none' }), 'x-ibe-sig=none')
    const result = { status: 'fail', reason: 'body changed', domain: 'a.example' } as const
    assert.equal(
      formatAuthResult(result),
      'x-ibe-sig=fail reason="body changed" header.d=a.example',
    )
    assert.equal(formatMark(result), 'fail; d=a.example; reason="body changed"')
    assert.equal(formatMark({ status: 'none' }), 'none')
  })

  it('nothing of it can end the field or begin another result', () => {
    const evil = 'x";\r\n dkim=pass header.d="y'
    for (const text of [
      formatAuthResult({ status: 'fail', reason: evil, domain: 'a.example', identity: evil }),
      formatMark({ status: 'fail', reason: evil }),
    ]) {
      assert.doesNotMatch(text, /[\r\n]/)
      const unquoted = text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '')
      assert.doesNotMatch(unquoted, /dkim|;\s*$/)
    }
  })

  it('an address that is no dot-atom stands in quotes', () => {
    const of = (identity: string) =>
      formatAuthResult({ status: 'pass', domain: 'a.example', identity })
    assert.match(of('"john doe"@a.example'), /header\.i="\\"john doe\\"@a\.example"$/)
    assert.match(of('日本@a.example'), /header\.i="\?\?@a\.example"$/)
  })
})
