// Two parts as they come, against two parts that are there.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { collect, readMessage } from '../../lib/mail/message.ts'
import { readPartStream } from '../../lib/mail/part-stream.ts'
import { readTwoParts } from '../../lib/mail/two-parts.ts'
import { bytesOf, cut, latin1, places } from './pieces.ts'

const HEADER = 'Content-Type: multipart/encrypted; boundary="b"\r\n\r\n'
const LIMIT = 10_000

const TOKENS = [
  '--b',
  '--b--',
  '\r\n',
  '\r\n\r\n',
  '\r\n--b\r\n',
  '\r\n--b--',
  '\r\n--b \t\r\n',
  '\r\n--bb\r\n',
  '--',
  '-',
  ' ',
  ' '.repeat(79),
  '\r',
  '\n',
  'Content-Type: text/plain',
  'text',
]
const tokens = fc.constantFrom(...TOKENS)
const wellFormed = fc
  .tuple(...Array.from({ length: 4 }, () => fc.array(tokens, { maxLength: 3 })))
  .map(([before, one, two, after]) =>
    [before, '--b\r\n\r\n', one, '\r\n--b\r\nA: b\r\n\r\n', two, '\r\n--b--', after]
      .flat()
      .join(''),
  )
const bodies = fc.oneof(
  wellFormed,
  fc.array(tokens, { maxLength: 20 }).map((all) => all.join('')),
)

async function outcome(read: () => Promise<Record<string, unknown>>): Promise<unknown> {
  try {
    return await read()
  } catch (error) {
    assert.ok(error instanceof PermError, String(error))
    return error.code
  }
}

async function whole(bytes: Uint8Array): Promise<Record<string, unknown>> {
  const [first, second] = await readTwoParts(await readMessage([bytes]), LIMIT)
  const fields = second.fields.map(({ raw }) => latin1(raw))
  return { first: latin1(first.raw), fields, body: latin1(second.body) }
}

async function streamed(pieces: readonly Uint8Array[]): Promise<Record<string, unknown>> {
  const { first, fields, body } = await readPartStream(await readMessage(pieces), LIMIT)
  const seen: Uint8Array[] = []
  for await (const piece of body) seen.push(Uint8Array.from(piece))
  return {
    first: latin1(first.raw),
    fields: fields.map(({ raw }) => latin1(raw)),
    body: latin1(await collect(seen)),
  }
}

describe('two parts as they come', () => {
  it('are those that are found when all of it is there, in whatever pieces', async () => {
    let read = 0
    await fc.assert(
      fc.asyncProperty(bodies, places, async (body, cuts) => {
        const bytes = bytesOf(`${HEADER}${body}`)
        const expected = await outcome(() => whole(bytes))
        assert.deepEqual(await outcome(() => streamed(cut(bytes, cuts))), expected)
        if (typeof expected === 'object') read++
      }),
      { numRuns: 1500 },
    )
    assert.ok(read > 100, `${read}`)
  })

  it('are no more than their limit', async () => {
    const body = `--b\r\nA: b\r\n\r\n\r\n--b\r\nA: b\r\n\r\n${'x'.repeat(LIMIT)}\r\n--b--\r\n`
    assert.equal(await outcome(() => streamed([bytesOf(`${HEADER}${body}`)])), 'mail/malformed')
  })
})
