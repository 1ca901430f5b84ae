import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createStuffer, unstuff } from '../../lib/haraka/dot-stuffing.ts'
import { anyBytes, bytesOf, cut, latin1, places } from '../mail/pieces.ts'

function stuff(...pieces: readonly Uint8Array[]): string {
  const stuffer = createStuffer()
  return latin1(Buffer.concat(pieces.map((piece) => Buffer.from(stuffer(piece)))))
}

describe('dot-stuffing', () => {
  for (const [text, expected] of [
    ['', ''],
    ['a', 'a'],
    ['.', '..'],
    ['.\r\n', '..\r\n'],
    ['a\r\n.\r\nb', 'a\r\n..\r\nb'],
    ['..\r\n..', '...\r\n...'],
    ['a.b\r\n', 'a.b\r\n'],
    ['a\n.b', 'a\r\n..b'],
    ['a\nb\n', 'a\r\nb\r\n'],
    ['a\r.b', 'a\r.b'],
    ['\n\n', '\r\n\r\n'],
    ['a\r\r\n.', 'a\r\r\n..'],
  ] as const) {
    it(`${JSON.stringify(text)} becomes ${JSON.stringify(expected)}`, () =>
      assert.equal(stuff(bytesOf(text)), expected))
  }

  it('is the same however the text is cut', () => {
    fc.assert(
      fc.property(anyBytes, places, (bytes, at) => {
        assert.equal(stuff(...cut(bytes, at)), stuff(bytes))
      }),
      { numRuns: 1_000 },
    )
  })

  it('leaves no bare LF and no line that ends the message', () => {
    fc.assert(
      fc.property(anyBytes, places, (bytes, at) => {
        const text = stuff(...cut(bytes, at))
        assert.doesNotMatch(text, /(?<!\r)\n/)
        assert.doesNotMatch(text, /(?:^|\n)\.(?!\.)/)
      }),
    )
  })

  it('is undone, but for a bare LF, which becomes CRLF', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const expected = latin1(bytes).replaceAll(/(?<!\r)\n/g, '\r\n')
        assert.equal(latin1(unstuff(Buffer.from(stuff(bytes), 'latin1'))), expected)
      }),
    )
  })

  it('does not change the bytes it is given', () => {
    const bytes = bytesOf('.a\n.b\r\n')
    stuff(bytes)
    assert.equal(latin1(bytes), '.a\n.b\r\n')
  })
})
