import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeWords, encodeWords } from '../../lib/mail/encoded-words.ts'
import { parseFields, type Field } from '../../lib/mail/header.ts'
import { skeletonOf } from '../../lib/mail/look-alike.ts'
import { withoutTags, withTag } from '../../lib/mail/subject-tag.ts'
import { bytesOf, latin1 } from './pieces.ts'
import { processorTime } from '../support/processor-time.ts'

const TAG = '[decrypted]'

function subject(value: string, encoding: 'utf8' | 'latin1' = 'utf8'): Field {
  const [field] = parseFields(Buffer.from(`Subject: ${value}\r\n`, encoding))
  assert.ok(field)
  return field
}

function without(value: string): string {
  const field = withoutTags(subject(value), [TAG])
  return decodeWords(latin1(field.raw).replaceAll('\r\n ', ' ').slice('Subject: '.length).trim())
}

const word = (text: string, charset = 'UTF-8', encoding: BufferEncoding = 'utf8'): string =>
  `=?${charset}?B?${Buffer.from(text, encoding).toString('base64')}?=`

describe('a tag of ours that somebody else wrote into a Subject', () => {
  for (const [how, value] of [
    ['as it is', '[decrypted] hello'],
    ['in odd case', '[DeCrYpTeD] hello'],
    ['in the middle', 'hel[decrypted]lo'],
    ['at the end', 'hello [decrypted]'],
    ['folded', '[decry\r\n pted] hello'],
    ['folded by a tab', '[decrypted\r\n\t] hello'],
    ['doubled', '[decrypted][decrypted] hello'],
    ['one inside the other', '[decr[decrypted]ypted] hello'],
    ['one inside the other, twice', '[de[decr[decrypted]ypted]crypted] hello'],
    ['with spaces in it', '[ d e c r y p t e d ] hello'],
    ['in an encoded word (B)', `${word(TAG)} hello`],
    ['in an encoded word (Q)', '=?utf-8?q?=5Bdecry_pted=5D?= hello'],
    ['in an encoded word with a language', '=?utf-8*en?Q?[decrypted]?= hello'],
    ['cut into two encoded words', `${word('[decr')} ${word('ypted]')} hello`],
    ['cut into words and text', `[decr${word('ypted')}] hello`],
    ['cut within a character', '=?utf-8?Q?[d=D0?= =?utf-8?Q?=B5crypted]?= hello'],
    ['in UTF-16', `${word('\ufeff[decrypted]', 'utf-16le', 'utf16le')} hello`],
    ['in UTF-7', '=?utf-7?Q?+AFs-decrypted+AF0-?= hello'],
    ['in Cyrillic letters', '[dесrурted] hello'],
    ['in Greek capitals', '[DΕCRΥΡΤΕD] hello'],
    ['in full width', '［ｄｅｃｒｙｐｔｅｄ］ hello'],
    ['in mathematical letters', '[𝐝𝐞𝐜𝐫𝐲𝐩𝐭𝐞𝐝] hello'],
    ['in other brackets', '【decrypted】 hello'],
    ['with marks on the letters', '[dé̂crypted] hello'],
    ['with what does not show', '[de\u200bcr\u00adyp\u2060ted\ufe0f] hello'],
    ['behind an override of direction', '\u202d[decrypted]\u202c hello'],
    ['all at once', `[D${word('ес')} ${word('\u200bRYP')}\r\n тed] hello`],
  ] as const) {
    it(`C12: is removed: ${how}`, () => {
      const rest = without(value)
        .replaceAll(/[\u202c\u202d]/g, '')
        .trim()
      assert.match(rest, /^hello$/, JSON.stringify(rest))
    })
  }

  it('C12: is removed in bytes that are no UTF-8', () => {
    const field = withoutTags(subject('[decrypted] caf\xe9', 'latin1'), [TAG])
    assert.equal(decodeWords(latin1(field.raw).slice('Subject: '.length).trim()), 'café')
  })

  it('a Subject without it stays as it is, byte for byte', () => {
    for (const value of [
      'hello',
      'decrypted',
      '[decrypt] [encrypted]',
      `${word('Grüße')}\r\n  x`,
      '',
    ]) {
      const field = subject(value)
      assert.equal(withoutTags(field, [TAG, '[verified]']), field)
    }
  })

  it('C12 C27: a long Subject that is made of nothing else takes no long time', () => {
    const nested = `${'[decr'.repeat(20_000)}${'ypted]'.repeat(20_000)}`
    const invisible = `[decrypted${'\u200b'.repeat(200_000)}x`
    const took = processorTime()
    assert.equal(without(`${nested}${TAG.repeat(20_000)} hello`), 'hello')
    assert.ok(without(invisible).startsWith('[decrypted'))
    assert.ok(took() < 5_000)
  })

  it('C12: is in no Subject any more, wherever it stood and whatever stood around it', () => {
    const piece = fc.oneof(
      fc.constantFrom(TAG, '[decr', 'ypted]', '[', ']', ' ', '=?', '?=', word(TAG), '\u200b', 'Е'),
      fc.string({ maxLength: 4, unit: 'grapheme' }),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const field = withoutTags(subject(pieces.join('').replaceAll(/[\r\n]/g, '')), [TAG])
        const shown = decodeWords(
          Buffer.from(field.raw).toString('utf8').slice('Subject:'.length).replaceAll('\r\n', ''),
        )
        assert.equal(skeletonOf(shown).includes(skeletonOf(TAG)), false, shown)
        assert.ok(parseFields(field.raw).length === 1)
      }),
      { numRuns: 300 },
    )
  })
})

describe('our own tag', () => {
  it('stands in front, once', () => {
    const clean = withoutTags(subject('Re: [Decrypted] hello'), [TAG])
    assert.equal(latin1(withTag(clean, TAG).raw), 'Subject: [decrypted] Re: hello\r\n')
    assert.equal(latin1(withTag(undefined, TAG).raw), 'Subject: [decrypted]\r\n')
  })

  it('stands in front of what is not ASCII, in encoded words that come back', () => {
    const text = 'Grüße aus 東京 '.repeat(20).trim()
    const field = withTag(subject(text), TAG)
    const raw = latin1(field.raw)
    assert.match(raw, /^[\r\n -~]+$/)
    for (const line of raw.split('\r\n')) assert.ok(line.length <= 76, line)
    assert.equal(decodeWords(raw.slice('Subject: '.length).trim()), `${TAG} ${text}`)
  })
})

describe('encoded words', () => {
  it('come back as the text that they were made of', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 120 }), (text) => {
        const plain = text.replaceAll(/\p{Cc}/gu, ' ')
        assert.equal(decodeWords(encodeWords(plain)), plain)
      }),
    )
  })

  it('never make the reader throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.string({ maxLength: 8 }), (bytes, name) => {
        decodeWords(`=?${name}?Q?${latin1(bytes)}?= =?utf-7?B?${latin1(bytes)}?=`)
        decodeWords(latin1(bytes))
      }),
    )
    assert.equal(decodeWords('=?no-such-charset?Q?caf=E9?='), 'café')
    assert.equal(latin1(bytesOf(encodeWords('a\r\nBcc: b'))), 'a  Bcc: b')
  })
})
