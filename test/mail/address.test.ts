import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { mailboxesIn } from '../../lib/mail/address.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { processorTime } from '../support/processor-time.ts'

const mailboxes = (block: string, name = 'to'): string[] =>
  mailboxesIn(parseFields(new TextEncoder().encode(block)), name)

describe('the addresses of a field', () => {
  const cases: readonly [title: string, block: string, expected: readonly string[]][] = [
    ['plain', 'To: a@x.example, b@y.example\r\n', ['a@x.example', 'b@y.example']],
    [
      'with names',
      'To: Ann <a@x.example>, "B, C" <b@y.example>\r\n',
      ['a@x.example', 'b@y.example'],
    ],
    ['folded', 'To: a@x.example,\r\n\tb@y.example\r\n', ['a@x.example', 'b@y.example']],
    [
      'of several fields',
      'To: a@x.example\r\nCc: c@x.example\r\nTO: b@x.example\r\n',
      ['a@x.example', 'b@x.example'],
    ],
    ['in a group', 'To: team: a@x.example, Ann <b@y.example>;\r\n', ['a@x.example', 'b@y.example']],
    [
      'in a group and beside it',
      'To: z@x.example, team: a@x.example;, b@x.example\r\n',
      ['z@x.example', 'a@x.example', 'b@x.example'],
    ],
    ['in an empty group', 'To: undisclosed-recipients:;\r\n', []],
    [
      'with nested comments',
      'To: (one (two)) Ann (three) <a@x.example> (four)\r\n',
      ['a@x.example'],
    ],
    ['with an address in a comment', 'To: a@x.example (not b@x.example)\r\n', ['a@x.example']],
    ['with an address in a name', 'To: "b@x.example" <a@x.example>\r\n', ['a@x.example']],
    ['with a quoted local part', 'To: "a b"@x.example\r\n', ['"a b"@x.example']],
    ['in UTF-8', 'To: Müller <müller@x.example>\r\n', ['müller@x.example']],
    ['none', 'To:\r\n', []],
    ['not a list', 'To: <<<a@x.example\r\n', []],
    ['no such field', 'Cc: a@x.example\r\n', []],
  ]
  for (const [title, block, expected] of cases) {
    it(title, () => assert.deepEqual(mailboxes(block), expected))
  }

  it('an internationalised domain is kept in a form that names the same host', () => {
    const [found = ''] = mailboxes('To: a@bücher.example\r\n')
    assert.ok(['a@bücher.example', 'a@xn--bcher-kva.example'].includes(found), found)
  })

  it('one field that does not parse does not hide another', () => {
    assert.deepEqual(mailboxes('To: <<<\r\nTo: a@x.example\r\n'), ['a@x.example'])
  })

  it('nothing throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        assert.ok(Array.isArray(mailboxes(`To: ${text}\r\n`)))
      }),
    )
  })

  const hostile: readonly [string, string][] = [
    ['open comments', '('.repeat(100_000)],
    ['comments', '(a)'.repeat(33_000)],
    ['open quotes', '"\\'.repeat(50_000)],
    ['open brackets', '<'.repeat(100_000)],
    ['commas', ','.repeat(100_000)],
    ['dots', 'a.'.repeat(50_000)],
    ['ats', '@'.repeat(100_000)],
    ['words', 'a '.repeat(50_000)],
    ['groups', 'a:'.repeat(50_000)],
    ['addresses', 'a@x.example, '.repeat(8_000)],
  ]
  for (const [title, text] of hostile) {
    it(`100 KB of ${title} take no seconds`, () => {
      const took = processorTime()
      mailboxes(`To: ${text}\r\n`)
      assert.ok(took() < 1_000, `${took()} ms`)
    })
  }
})
