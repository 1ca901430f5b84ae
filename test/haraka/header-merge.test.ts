import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  isAuthResults,
  mergeFields,
  undoAuthResultsRenaming,
} from '../../lib/haraka/header-merge.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'

interface HarakaHeader {
  header_list: string[]
  parse(lines: string[]): void
  remove(name: string): void
  add(name: string, value: string): void
  add_end(name: string, value: string): void
}

// The class that Haraka itself uses, found from where Haraka is.
const ofHaraka = createRequire(require.resolve('haraka/package.json'))
const { Header } = ofHaraka('haraka-email-message') as { Header: new () => HarakaHeader }

// It says what it drops, by console.log when Haraka's own logger is not beside it.
const ofHeader = createRequire(ofHaraka.resolve('haraka-email-message'))
Object.assign(ofHeader('./lib/logger.js') as object, { lognotice: () => {} })

/** As Transaction.add_data and end_data of Haraka 3.3 hand a header over. */
function parsedByHaraka(block: Uint8Array): HarakaHeader {
  const header = new Header()
  const lines: string[] = []
  let from = 0
  while (from < block.length) {
    const at = block.indexOf(0x0a, from)
    const to = at === -1 ? block.length : at + 1
    lines.push(Buffer.from(block.subarray(from, to)).toString('utf8').replace(/\r\n$/, '\n'))
    from = to
  }
  header.parse(lines)
  return header
}

type Keep = Parameters<typeof mergeFields>[2]
const nothingMore: Keep = () => false

function merged(
  block: string,
  edit: (header: HarakaHeader) => void = () => {},
  keep: Keep = nothingMore,
): string {
  const bytes = bytesOf(block)
  const header = parsedByHaraka(bytes)
  edit(header)
  const fields = mergeFields(parseFields(bytes), header.header_list, keep)
  return latin1(Buffer.concat(fields.map((field) => field.raw)))
}

const BLOCK =
  'Received: from x\r\n\tby y\r\nSubject: caf\xe9 \xff\r\nX-A: \r\n .dot\r\n.X-Dot: 1\r\nTo: a\rb\r\n__proto__: x\r\nconstructor: y\r\n: no name\r\nno colon\r\nX-B : 2\r\n'

describe('a header as Haraka holds it, and as it was received', () => {
  it('without an edit is what was received, byte for byte', () =>
    assert.equal(merged(BLOCK), BLOCK))

  it('with fields added in front and behind keeps the received bytes', () => {
    const text = merged(BLOCK, (header) => {
      header.add('Received', 'from z')
      header.add('X-First', 'one\r\n two')
      header.add_end('X-Last', 'l')
    })
    assert.equal(
      text,
      `X-First: one\r\n two\r\nReceived: from z\r\n${BLOCK.replace('X-B : 2\r\n', 'X-B : 2\r\nX-Last: l\r\n')}`,
    )
  })

  it('with a field removed keeps all others', () => {
    assert.equal(
      merged(BLOCK, (header) => header.remove('Subject')),
      BLOCK.replace('Subject: caf\xe9 \xff\r\n', ''),
    )
  })

  it('with a field replaced has the new one', () => {
    const text = merged(BLOCK, (header) => {
      header.remove('subject')
      header.add('Subject', 'new')
    })
    assert.equal(text, `Subject: new\r\n${BLOCK.replace('Subject: caf\xe9 \xff\r\n', '')}`)
  })

  it('with a field moved keeps its bytes and those of all others', () => {
    const text = merged(BLOCK, (header) => {
      header.header_list.unshift(header.header_list.splice(1, 1)[0] ?? '')
    })
    assert.equal(text, `Subject: caf\xe9 \xff\r\n${BLOCK.replace('Subject: caf\xe9 \xff\r\n', '')}`)
  })

  it('what Haraka drops by itself stays', () => {
    const text = merged(BLOCK, (header) => header.header_list.splice(0))
    // "no colon" and the one below it are in Haraka's list: a plugin that empties it has removed them, names apart.
    assert.match(text, /^__proto__: x\r\nconstructor: y\r\n: no name\r\nno colon\r\n$/)
  })

  it('fields to keep stay in their place although Haraka removed them', () => {
    const block = 'A: 1\r\nAuthentication-Results: x; y=z\r\nB: 2\r\n'
    assert.equal(
      merged(block, (header) => header.remove('Authentication-Results'), isAuthResults),
      block,
    )
    assert.equal(
      merged(block, (header) => header.remove('Authentication-Results')),
      'A: 1\r\nB: 2\r\n',
    )
  })

  it('is, for random headers and edits, what was received, less what was removed, with what was added', () => {
    const name = fc.constantFrom('Subject', 'To', 'X-A', 'X-B', 'SUBJECT', 'Authentication-Results')
    const value = fc
      .array(
        fc.constantFrom(
          'a',
          '.',
          ' ',
          '\xe9',
          '\xff',
          'ü',
          '\r\n b',
          '\r\n\t',
          ':',
          '\r',
          '\0',
          '=?x?=',
        ),
        { maxLength: 6 },
      )
      .map((parts) => parts.join(''))
    const line = fc.oneof(
      { weight: 8, arbitrary: fc.tuple(name, value).map(([n, v]) => `${n}: ${v}\r\n`) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '__proto__: x\r\n',
          'constructor: y\r\n',
          '.Dot: 1\r\n',
          'X-A : 1\r\n',
        ),
      },
    )
    const edit = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), name, at: fc.nat(9_999) }),
      fc.record({ kind: fc.constant('add_end' as const), name, at: fc.nat(9_999) }),
      fc.record({ kind: fc.constant('remove' as const), name, at: fc.constant(0) }),
    )
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 8 }),
        fc.array(edit, { maxLength: 4 }),
        (lines, edits) => {
          const block = lines.join('')
          let expected = lines.map((text) => ({ text, name: text.slice(0, text.indexOf(':')) }))
          const actual = merged(block, (header) => {
            for (const [count, { kind, name, at }] of edits.entries()) {
              const added = { text: `${name}: v${count}-${at}\r\n`, name }
              if (kind === 'add') expected.unshift(added)
              else if (kind === 'add_end') expected.push(added)
              else
                expected = expected.filter((one) => one.name.toLowerCase() !== name.toLowerCase())
              if (kind === 'remove') header.remove(name)
              else header[kind](name, `v${count}-${at}`)
            }
          })
          // A field that Haraka drops keeps its place before the received field behind it; beside added ones either will do.
          const isOwn = (text: string): boolean => /^(?:__proto__|constructor):/.test(text)
          const split = (text: string): [string, string] => {
            const all = parseFields(bytesOf(text)).map((field) => latin1(field.raw))
            return [all.filter((one) => !isOwn(one)).join(''), all.filter(isOwn).join('')]
          }
          assert.deepEqual(split(actual), split(expected.map((one) => one.text).join('')))
          if (edits.length === 0) assert.equal(actual, block)
        },
      ),
      { numRuns: 1_000 },
    )
  })
})

describe('Authentication-Results that Haraka has renamed', () => {
  it('are put back under their own name, and those that were called so before stay', () => {
    const received = parseFields(
      bytesOf('Original-Authentication-Results: old\r\nAuthentication-Results: x\r\n'),
    )
    const fields = parseFields(
      bytesOf(
        'Original-Authentication-Results: x\r\nOriginal-Authentication-Results: old\r\nAuthentication-Results: x\r\n',
      ),
    )
    assert.deepEqual(
      undoAuthResultsRenaming(fields, received).map((field) => latin1(field.raw)),
      ['Original-Authentication-Results: old\r\n', 'Authentication-Results: x\r\n'],
    )
  })
})
