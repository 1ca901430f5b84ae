import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import type { Header } from '../../lib/haraka/api.ts'
import { dropForgedFields, looksEncrypted } from '../../lib/haraka/header-list.ts'

const ofHaraka = createRequire(require.resolve('haraka/package.json'))
const HarakaHeader = (ofHaraka('haraka-email-message') as { Header: new () => Header }).Header

// It says what looks odd to it, by console.log when Haraka's own logger is not beside it.
const ofHeader = createRequire(ofHaraka.resolve('haraka-email-message'))
Object.assign(ofHeader('./lib/logger.js') as object, { lognotice: () => {} })

function header(...lines: readonly string[]): Header {
  const made = new HarakaHeader()
  made.parse(lines.map((line) => `${line}\n`))
  return made
}

const OURS = new Set(['mx.b.example'])

describe('forged fields in a header as Haraka holds it', () => {
  it('go, from the list and from the maps, and all others stay', () => {
    const made = header(
      'Subject: x',
      'Hisho-Decrypted: forged',
      'HISHO-decrypted : forged',
      'Hisho-Decrypted:',
      ' forged',
      'Ibemail-Decrypted: true',
      'Authentication-Results: mx.b.example; dkim=pass',
      'Authentication-Results: (a (b)) "MX.b.example" 1; dkim=pass',
      'Authentication-Results: mx.a.example; dkim=pass',
      'X-Hisho: x',
      'To: y',
    )
    dropForgedFields(made, OURS)
    assert.deepEqual(made.header_list, [
      'Subject: x\n',
      'Authentication-Results: mx.a.example; dkim=pass\n',
      'X-Hisho: x\n',
      'To: y\n',
    ])
    assert.equal(made.get('Hisho-Decrypted'), '')
    assert.equal(made.get('Ibemail-Decrypted'), '')
    assert.equal(made.get('Subject'), 'x\n')
  })

  it('go when a bare CR or a fold is in them', () => {
    const made = header(
      'Hisho-Decrypted: a\rb',
      'Authentication-Results:',
      '\tmx.b.example;',
      ' x=y',
      'To: y',
    )
    dropForgedFields(made, OURS)
    assert.deepEqual(made.header_list, ['To: y\n'])
  })

  it('are not looked for in values', () => {
    const made = header('Subject: Hisho-Decrypted: x', 'X: y', ' Hisho-Decrypted: folded')
    const before = [...made.header_list]
    dropForgedFields(made, OURS)
    assert.deepEqual(made.header_list, before)
  })

  it('the list stays the same array, which the message stream has too', () => {
    const made = header('Hisho-X: y', 'To: z')
    const list = made.header_list
    dropForgedFields(made, OURS)
    assert.equal(made.header_list, list)
  })
})

describe('a first look at a header', () => {
  for (const line of [
    'Content-Type: multipart/encrypted; protocol="application/hisho-encrypted"; boundary=b',
    'content-TYPE : Multipart/Encrypted',
    'Content-Type: (c) multipart/(c)encrypted; x=y',
    'Content-Type: application/ibemail-encrypted',
    'Content-type: Application/IBEmail-Encrypted; x=y',
  ]) {
    it(`may be ours: ${line}`, () => assert.equal(looksEncrypted(header('To: x', line)), true))
  }
  for (const lines of [
    [],
    ['Content-Type: text/plain; x="multipart/encrypted"'],
    ['Subject: Content-Type: multipart/encrypted'],
    ['X-Content-Type: multipart/encrypted'],
    ['Content-Type: application/ibemail'],
  ]) {
    it(`is not ours: ${lines.join() || '(nothing)'}`, () =>
      assert.equal(looksEncrypted(header(...lines)), false))
  }
  it('may be ours when its type is folded', () => {
    assert.equal(looksEncrypted(header('Content-Type:', '\tmultipart/encrypted;', ' a=b')), true)
  })
})
