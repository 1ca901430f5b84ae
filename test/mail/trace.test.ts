import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { claimsToBeOurs, isMarker, isTrace } from '../../lib/mail/trace.ts'
import { parseFields, type Field } from '../../lib/mail/header.ts'

function field(text: string): Field {
  const [found, ...others] = parseFields(new TextEncoder().encode(`${text}\r\n`))
  assert.equal(others.length, 0)
  assert.ok(found)
  return found
}

describe('marks that nobody but us may write', () => {
  for (const text of [
    'Hisho-Decrypted: yes',
    'hisho-decrypted: yes',
    'HISHO-DECRYPTED:yes',
    'Hisho-Decrypted : yes',
    'Hisho-Decrypted\t: yes',
    'Hisho-Decrypted:\r\n yes',
    'Hisho-Anything: yes',
    'Ibemail-Decrypted: true',
    'IBEMAIL-decrypted  : true',
  ]) {
    it(JSON.stringify(text), () => assert.equal(isMarker(field(text)), true))
  }
  for (const text of [
    'X-Hisho-Decrypted: yes',
    'Ibemail-Decrypted-By: me',
    'Subject: Hisho-Decrypted: yes',
    'Hisho: x',
  ]) {
    it(`not one of them: ${text}`, () => assert.equal(isMarker(field(text)), false))
  }
})

describe('C12: marks in disguise', () => {
  const isForged = (bytes: string): boolean => {
    const fields = parseFields(Buffer.from(bytes, 'latin1'))
    return fields.some((one) => isMarker(one) || claimsToBeOurs(one, new Set(['mx.b.example'])))
  }
  for (const text of [
    'Subject: x\rHisho-Decrypted: forged\r\n',
    'Subject: x\r\n y\rhisho-decrypted : forged\r\n',
    'Subject: x\rIbemail-Decrypted: true\rX: y\r\n',
    'Subject: x\rAuthentication-Results: mx.b.example; smime=pass\r\n',
    'Subject: x\nHisho-Decrypted: forged\r\n',
    'Hisho-\0Decrypted: forged\r\n',
    '\xef\xbb\xbfHisho-Decrypted: forged\r\n',
    'Hisho-Decrypted\xa0: forged\r\n',
    '\0Authentication-Results: mx.b.example; smime=pass\r\n',
  ])
    it(`known: ${JSON.stringify(text)}`, () => assert.equal(isForged(text), true))
  // Whoever looks for our field by its name does not find these.
  for (const text of [
    Buffer.from('Hіsho-Decrypted: Cyrillic\r\n').toString('latin1'),
    '=?utf-8?Q?Hisho-Decrypted?=: yes\r\n',
    'Subject: x\r\n Hisho-Decrypted: folded\r\n',
    'Subject: Hisho-Decrypted: yes\r\n',
    'no colon\r\n',
  ])
    it(`another name for everybody: ${JSON.stringify(text)}`, () =>
      assert.equal(isForged(text), false))
})

describe('Authentication-Results in our name', () => {
  const ours = new Set(['mx.b.example'])
  for (const value of [
    'mx.b.example; dkim=pass',
    'MX.B.Example; dkim=pass',
    'mx.b.example. ; dkim=pass',
    'mx.b.example;none',
    'mx.b.example',
    'mx.b.example 1; dkim=pass',
    'mx.b.example(c); dkim=pass',
    '(c) mx.b.example; dkim=pass',
    '(one (two) three) mx.b.example; dkim=pass',
    '(one \\) two) mx.b.example; dkim=pass',
    '(a)(b (c (d)))mx.b.example (e) 1 (f); dkim=pass',
    '"mx.b.example"; dkim=pass',
    '"mx\\.b.example" 1; dkim=pass',
    '\r\n mx.b.example;\r\n dkim=pass',
    'mx.b.example\0; dkim=pass',
  ]) {
    it(`claimed: ${JSON.stringify(value)}`, () =>
      assert.equal(claimsToBeOurs(field(`Authentication-Results: ${value}`), ours), true))
  }
  for (const value of [
    'mx.c.example; dkim=pass',
    'b.example; dkim=pass',
    'mx.b.example.org; x=y',
    '(mx.b.example) other; x=y',
    ';',
    '',
  ]) {
    it(`not claimed: ${JSON.stringify(value)}`, () =>
      assert.equal(claimsToBeOurs(field(`Authentication-Results: ${value}`), ours), false))
  }
  it('claimed whatever the spelling of the field’s name', () => {
    assert.equal(claimsToBeOurs(field('AUTHENTICATION-results : mx.b.example; x=y'), ours), true)
    assert.equal(claimsToBeOurs(field('X-Authentication-Results: mx.b.example; x=y'), ours), false)
  })
})

describe('the trace of a message', () => {
  for (const name of [
    'Received',
    'RETURN-PATH',
    'Delivered-To',
    'Authentication-Results',
    'DKIM-Signature',
    'ARC-Seal',
    'X-Spam-Status',
    'Received-SPF',
  ]) {
    it(`${name} belongs to it`, () => assert.equal(isTrace(field(`${name}: x`)), true))
  }
  for (const name of [
    'Reply-To',
    'Subject',
    'From',
    'List-Id',
    'Content-Type',
    'X-Mailer',
    'Received-By',
  ]) {
    it(`${name} does not`, () => assert.equal(isTrace(field(`${name}: x`)), false))
  }
})
