// Parts that would run or load something, made text: what is found, in what disguise, and that all else keeps its bytes.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { withoutActiveContent } from '../../lib/mail/active-content.ts'
import { collect, headerBytes, readMessage } from '../../lib/mail/message.ts'
import { corpusMissing, readCorpus } from '../support/corpus.ts'
import { bytesOf, latin1 } from './pieces.ts'
import { processorTime } from '../support/processor-time.ts'

interface Result {
  readonly text: string
  readonly changed: number
}

async function passive(text: string): Promise<Result> {
  const { fields, separator, body } = await readMessage([bytesOf(text)])
  const found = withoutActiveContent(fields, await collect(body))
  const header = latin1(headerBytes(found.fields, separator))
  return { text: header + latin1(found.body), changed: found.changed }
}

const MIXED = 'Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'
const HTML = '<img src="http://spy.example/?">'
/** A multipart with one part that has this header. */
const withPart = (header: string): string => `${MIXED}--b\r\n${header}\r\n\r\n${HTML}\r\n--b--\r\n`

async function becomes(header: string, expected: string): Promise<void> {
  const { text } = await passive(withPart(header))
  assert.equal(text, withPart(expected))
  const root = await passive(`Subject: s\r\n${header}\r\n\r\n${HTML}\r\n`)
  assert.equal(root.text, `Subject: s\r\n${expected}\r\n\r\n${HTML}\r\n`)
}

describe('C2: the type of a part', () => {
  const PLAIN = 'Content-Type: text/plain'
  const cases: readonly [header: string, becomes: string][] = [
    ['Content-Type: text/html', PLAIN],
    ['Content-Type: TEXT/Html; Charset="UTF-8"; hp=cipher', `${PLAIN}; charset="UTF-8"`],
    ['content-type:\r\n text/html;\r\n\tcharset=iso-8859-1', `${PLAIN}; charset="iso-8859-1"`],
    ['Content-Type : text/html', PLAIN],
    ['Content-Type: (a comment) text (x) /html', PLAIN],
    ['Content-Type: text/html; charset="a\\"; b"', PLAIN],
    ['X-A: 1\r\nContent-Type: application/xhtml+xml\r\nX-B: 2', `X-A: 1\r\n${PLAIN}\r\nX-B: 2`],
    ['Content-Type: image/svg+xml; name="x.svg"', PLAIN],
    ['Content-Type: text/xml', PLAIN],
    ['Content-Type: application/xml', PLAIN],
    ['Content-Type: application/mathml+xml', PLAIN],
    ['Content-Type: application/javascript', PLAIN],
    ['Content-Type: text/enriched', PLAIN],
    ['Content-Type: text/no-such-thing', PLAIN],
    ['Content-Type: message/external-body; access-type=URL', PLAIN],
    ['Content-Type: multipart/x-mixed-replace; boundary=c', PLAIN],
    ['Content-Type: application/ms-tnef; name=winmail.dat', PLAIN],
    // What two programs could read in two ways.
    ['Content-Type: text/plain\r\nContent-Type: text/html', PLAIN],
    ['Content-Type: "text/html"', PLAIN],
    ['Content-Type: te\0xt/html', PLAIN],
    ['Content-Type: multipart/mixed', PLAIN],
    ['Content-Type: multipart/mixed; boundary=c; boundary=d', PLAIN],
    ['Content-Type: multipart/mixed; boundary=c; boundary*0=d', PLAIN],
    ['Content-Type: multipart/mixed; boundary*0=c', PLAIN],
    ['Content-Type: multipart/mixed; (x) boundary=c', PLAIN],
    ['Content-Type: multipart/mixed; boundary="c\td"', PLAIN],
    ['Content-Type: multipart/mixed; boundary=c\r\nContent-Transfer-Encoding: base64', ''],
    ['Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64', ''],
    ['X-A: 1\rContent-Type: text/html', 'X-A: 1 Content-Type: text/html'],
  ]
  for (const [header, expected] of cases)
    it(`of ${JSON.stringify(header)} is text/plain`, () =>
      becomes(header, expected || header.replace(/^.*/, PLAIN)))

  for (const header of [
    'X-A: 1',
    'Content-Type: text/plain; charset=utf-8; format=flowed',
    'Content-Type: application/pdf; name=My File.pdf',
    'Content-Type: application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'Content-Type: image/png',
    'Content-Type: text/calendar; method=REQUEST',
    'Content-Type: application/octet-stream',
    'Content-Type: message/delivery-status',
    'Content-Type: multipart/mixed; boundary="=_a.boundary (1)"\r\nContent-Transfer-Encoding: 8BIT',
  ])
    it(`of ${JSON.stringify(header)} stays`, () => becomes(header, header))
})

const PART = `\r\nContent-Type: text/html\r\n\r\n${HTML}`
const PLAIN_PART = `\r\nContent-Type: text/plain\r\n\r\n${HTML}`

describe('C2: a part of an active type is found', () => {
  const inner = (boundary: string): string =>
    `--b\r\nContent-Type: multipart/related; boundary="${boundary}"\r\n\r\n--${boundary}`
  for (const [where, before, after = '\r\n--b--\r\n'] of [
    ['behind others', `${MIXED}--b\r\n\r\ntext\r\n--b`],
    ['in a part', `${MIXED}${inner('c')}`],
    ['in a part whose boundary begins with the one around it', `${MIXED}${inner('bb')}`],
    ['in a message that is forwarded', `${MIXED}--b\r\nContent-Type: message/rfc822\r\n`],
    ['in a message of a digest', `${MIXED.replace('mixed', 'digest')}--b\r\n`],
    ['in a message as root', 'Content-Type: message/rfc822\r\n'],
    [
      'in a message in a message',
      `${MIXED}--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: message/global\r\n`,
    ],
    ['behind the last part', `${MIXED}--b\r\n\r\ntext\r\n--b--\r\n--b`],
    ['behind the last part of an inner one', `${MIXED}${inner('c')}--\r\n--b--\r\n--c`],
    ['behind a delimiter with more in its line', `${MIXED}--b x`],
    ['behind a header without an end', `${MIXED}--b\r\nX-A: 1\r\n--b`],
    ['behind a bare LF', `${MIXED}--b\r\n\r\ntext\n--b`],
    ['behind a bare CR', `${MIXED}--b\r\n\r\ntext\r--b`],
    ['without an end', `${MIXED}--b`, ''],
  ] as const)
    it(where, async () => {
      const { text, changed } = await passive(before + PART + after)
      assert.equal(text, before + PLAIN_PART + after)
      assert.equal(changed, 1)
    })

  it('with line ends of other systems', async () => {
    const { text } = await passive(`${MIXED}--b\nContent-Type: text/html\n\n${HTML}\n--b--\n`)
    assert.equal(text, `${MIXED}--b\nContent-Type: text/plain\r\n\n${HTML}\n--b--\n`)
  })

  it('behind an empty line that only some take for one', async () => {
    for (const blank of ['\r\n \r\n', '\r\n\t\r\n', '\r\r', '\n\r']) {
      const { text } = await passive(
        `${MIXED}--b\r\nContent-Type: multipart/mixed; boundary=c${blank}--c${PART}`,
      )
      assert.doesNotMatch(text, /text\/html\r?\n/, JSON.stringify(blank))
    }
  })
})

/** A tree of parts, and how many of them are HTML. */
const tree = fc.letrec<{ tree: { text: string; html: number } }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(
      { text: '\r\n\r\nplain text\r\n.\r\n', html: 0 },
      { text: '\r\nContent-Type: image/png\r\n\r\niVBORw0KGgo=\r\n', html: 0 },
      { text: '\r\nContent-Type: text/html\r\n\r\n<b>x</b>', html: 1 },
    ),
    tie('tree').map(({ text, html }) => ({
      text: `\r\nContent-Type: message/rfc822\r\n${text}`,
      html,
    })),
    fc
      .tuple(fc.array(tie('tree'), { minLength: 1, maxLength: 4 }), fc.stringMatching(/^[a-c]{2}$/))
      .map(([parts, boundary]) => ({
        text: `\r\nContent-Type: multipart/mixed; boundary=${boundary}\r\n${parts.map(({ text }) => `\r\n--${boundary}${text}`).join('')}\r\n--${boundary}--\r\n`,
        html: parts.reduce((sum, { html }) => sum + html, 0),
      })),
  ),
}))

describe('a message without its active content', () => {
  it('has each of its parts, and what was not active keeps its bytes', async () => {
    await fc.assert(
      fc.asyncProperty(tree.tree, async ({ text: made, html }) => {
        const message = `Subject: s${made}`
        const { text, changed } = await passive(message)
        assert.equal(changed, html)
        assert.equal(text, message.replaceAll('text/html', 'text/plain'))
      }),
    )
  })

  it('is made of any text, and stays as it is when it is made again', async () => {
    const word = fc.constantFrom(
      '\r\n',
      '\n',
      '\r',
      '--',
      'b',
      'c',
      ': ',
      ';',
      '"',
      'boundary=',
      ' ',
      'x',
      '(',
      '\0',
      'Content-Type',
      'multipart/mixed',
      'multipart/digest',
      'message/rfc822',
      'text/html',
      '\r\n\r\n',
      '\r\n--b\r\n',
      '\r\nContent-Type: text/html\r\n',
    )
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 40 }), async (words) => {
        const once = await passive(MIXED + words.join(''))
        assert.deepEqual(await passive(once.text), { text: once.text, changed: 0 })
      }),
    )
  })

  it('C27: with too many parts, too deep, or with too large a header is not made', async () => {
    const isLimit = (error: unknown): boolean =>
      error instanceof PermError && error.code === 'protection/limit'
    const many = `${MIXED}${'--b\r\nX: 1\r\n\r\n\r\n'.repeat(1001)}`
    const deep = 'Content-Type: message/rfc822\r\n\r\n'.repeat(21)
    const large = `${MIXED}--b\r\nX: ${'x'.repeat(300_000)}\r\n\r\n`
    for (const text of [many, deep, large]) await assert.rejects(passive(text), isLimit)
    const all = [many.slice(0, -100), deep.slice(32 * 2), large.replace(/x{200000}/, '')]
    for (const text of all) assert.deepEqual(await passive(text), { text, changed: 0 })
  })

  it('C27: takes a time that grows with its size alone', async () => {
    const shared = 'x'.repeat(60)
    const parts = Array.from({ length: 900 }, (_, at) => `${shared}${at}`).map(
      (boundary) => `--b\r\nContent-Type: multipart/mixed; boundary=${boundary}\r\n\r\n`,
    )
    const body = parts.join('') + `--${shared}\r\n`.repeat(200_000) + '--\r\n'.repeat(1_000_000)
    const took = processorTime()
    await passive(MIXED + body)
    assert.ok(took() < 5_000, `${took()} ms`)
  })

  // oxlint-disable-next-line no-control-regex
  const CONTROLS = /[\0-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)/
  it('of the corpus differs in Content-Type fields alone', { skip: corpusMissing }, async () => {
    const isType = (line: string): boolean => /^(?:content-type\s*:|[ \t])/i.test(line)
    let changes = 0
    for (const { file, bytes } of readCorpus()) {
      const { text, changed } = await passive(latin1(bytes))
      changes += changed
      const rest = (all: string): string[] => all.split('\r\n').filter((line) => !isType(line))
      if (changed === 0) assert.ok(text === latin1(bytes) || CONTROLS.test(latin1(bytes)), file)
      else assert.deepEqual(rest(text), rest(latin1(bytes)), file)
    }
    assert.ok(changes > 20, `${changes}`)
  })
})
