import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { contentTypeOf, parseContentType } from '../../lib/mail/content-type.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { processorTime } from '../support/processor-time.ts'

const parsed = (value: string) => {
  const found = parseContentType(value)
  return found && { type: found.type, parameters: Object.fromEntries(found.parameters) }
}

describe('a Content-Type', () => {
  const cases: readonly [value: string, type: string, parameters: Record<string, string>][] = [
    ['text/plain', 'text/plain', {}],
    ['TEXT/Plain; Charset=UTF-8', 'text/plain', { charset: 'UTF-8' }],
    [' text/plain ; a=1 ; b = 2 ', 'text/plain', { a: '1', b: '2' }],
    ['text/plain; a="x y; z=\\"q\\" (no comment)"', 'text/plain', { a: 'x y; z="q" (no comment)' }],
    ['(c) text/plain (c (nested \\) still)); (c) a=1 (c)', 'text/plain', { a: '1' }],
    ['text/plain; a=1; A=2', 'text/plain', { a: '1' }],
    ['text/plain; a=""', 'text/plain', { a: '' }],
    ['text/plain; a=1; broken; b=2', 'text/plain', { a: '1' }],
    ['text/plain; a="open', 'text/plain', {}],
    ['text/plain;', 'text/plain', {}],
  ]
  for (const [value, type, parameters] of cases) {
    it(JSON.stringify(value), () => assert.deepEqual(parsed(value), { type, parameters }))
  }

  for (const value of [
    '',
    'text',
    '/plain',
    'text/',
    'te xt/plain',
    '"text"/plain',
    '(text/plain',
  ]) {
    it(`none: ${JSON.stringify(value)}`, () => assert.equal(parsed(value), undefined))
  }

  it('counts only when there is one field of it', () => {
    const fields = (text: string) => parseFields(new TextEncoder().encode(text))
    assert.equal(contentTypeOf(fields('A: b\r\n')), undefined)
    assert.equal(contentTypeOf(fields('Content-Type: a/b\r\nCONTENT-TYPE : a/b\r\n')), undefined)
    assert.equal(
      contentTypeOf(fields('Content-Type:\r\n a/b;\r\n\tc=d\r\n'))?.parameters.get('c'),
      'd',
    )
  })

  it('no text throws', () => {
    const rough = fc
      .array(fc.constantFrom('a', '/', ';', '=', '"', '\\', '(', ')', ' ', '\r', 'é', '\0'))
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(rough, fc.string({ unit: 'binary' })), (text) => {
        const found = parseContentType(`a/b;${text}`)
        assert.ok(found === undefined || found.type === 'a/b' || found.type.startsWith('a/b'))
        parseContentType(text)
      }),
    )
  })

  for (const text of [
    '('.repeat(100_000),
    ';a=b'.repeat(50_000),
    `;a="${'\\"'.repeat(100_000)}`,
    ' '.repeat(100_000),
  ]) {
    it(`200 KB of ${JSON.stringify(text.slice(0, 6))} take no seconds`, () => {
      const took = processorTime()
      parseContentType(`a/b${text}`)
      assert.ok(took() < 1_000, `${took()} ms`)
    })
  }
})
