import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { fieldValue, formatField, parseFields } from '../../lib/mail/header.ts'
import { anyBytes, bytesOf, latin1, shown } from './pieces.ts'

const parse = (text: string) => parseFields(bytesOf(text)).map(shown)

describe('header fields', () => {
  it('any bytes give fields whose concatenation is the block', () => {
    fc.assert(
      fc.property(anyBytes, (block) => {
        assert.equal(
          latin1(Buffer.concat(parseFields(block).map((field) => field.raw))),
          latin1(block),
        )
      }),
    )
  })

  it('a folded line belongs to the field above', () => {
    assert.deepEqual(parse('Subject: one\r\n two\r\n\tthree\r\nTo: x\r\n'), [
      { name: 'subject', raw: 'Subject: one\r\n two\r\n\tthree\r\n' },
      { name: 'to', raw: 'To: x\r\n' },
    ])
  })

  it('blanks before the colon are not part of the name', () => {
    assert.deepEqual(
      parse('Subject \t: x\r\nTO : y\r\n').map(({ name }) => name),
      ['subject', 'to'],
    )
  })

  for (const line of [
    'no colon',
    ': no name',
    'two words: x',
    'umläut: x',
    ' first line folded: x',
    '\0: x',
    '',
  ]) {
    it(`a line that is no field has no name: ${JSON.stringify(line)}`, () => {
      assert.deepEqual(parse(`${line}\r\n`), [{ name: '', raw: `${line}\r\n` }])
    })
  }

  it('a bare LF ends a line, a bare CR does not', () => {
    assert.deepEqual(parse('A: 1\nB: 2\rC: 3\r\n'), [
      { name: 'a', raw: 'A: 1\n' },
      { name: 'b', raw: 'B: 2\rC: 3\r\n' },
    ])
  })

  it('the last line may lack its end', () => {
    assert.deepEqual(parse('A: 1'), [{ name: 'a', raw: 'A: 1' }])
  })

  it('a value is unfolded, read as UTF-8 and without the blanks around it', () => {
    const [field] = parseFields(new TextEncoder().encode('Subject:  schöne\r\n Grüße \r\n'))
    assert.equal(field && fieldValue(field), 'schöne Grüße')
  })

  it('a name is compared without case, and kept as it was written', () => {
    const field = formatField('MIME-Version', '1.0')
    assert.deepEqual(shown(field), { name: 'mime-version', raw: 'MIME-Version: 1.0\r\n' })
  })
})
