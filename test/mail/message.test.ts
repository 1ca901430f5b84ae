import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { closeBody, collect, messageBytes, peekBody, readMessage } from '../../lib/mail/message.ts'
import { anyBytes, bytesOf, cut, latin1, places, seen, whole } from './pieces.ts'
import { processorTime } from '../support/processor-time.ts'

const read = async (text: string) => seen(await readMessage([bytesOf(text)]))

describe('a message read from a stream', () => {
  it('is the same however it is cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes, places, async (bytes, at) => {
        assert.deepEqual(
          await seen(await readMessage(cut(bytes, at))),
          await seen(await readMessage([bytes])),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('comes out byte for byte, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes, places, async (bytes, at) => {
        assert.equal(latin1(await whole(await readMessage(cut(bytes, at)))), latin1(bytes))
        assert.equal(
          latin1(await collect(messageBytes(await readMessage(cut(bytes, at))))),
          latin1(bytes),
        )
      }),
    )
  })

  it('is the same byte by byte', async () => {
    const bytes = bytesOf('A: 1\r\nB: 2\r\n 3\r\n\r\nbody\r\n\r\nmore\r\n')
    const single = [...bytes].map((byte) => Uint8Array.of(byte))
    assert.deepEqual(await seen(await readMessage(single)), await seen(await readMessage([bytes])))
  })

  it('the empty line may lie on any border of pieces', async () => {
    const bytes = bytesOf('A: 1\r\n\r\nbody')
    for (let at = 0; at <= bytes.length; at++) {
      const { body } = await seen(await readMessage([bytes.subarray(0, at), bytes.subarray(at)]))
      assert.equal(body, 'body', `cut at ${at}`)
    }
  })

  it('may have no body', async () => {
    assert.deepEqual(await read('A: 1\r\n\r\n'), {
      fields: [{ name: 'a', raw: 'A: 1\r\n' }],
      separator: '\r\n',
      body: '',
    })
  })

  it('may have no header', async () => {
    assert.deepEqual(await read('\r\nA: 1\r\n'), {
      fields: [],
      separator: '\r\n',
      body: 'A: 1\r\n',
    })
  })

  it('may have no empty line: the header is what looks like one', async () => {
    assert.deepEqual(await read('A: 1\r\nB : 2\r\n 3\r\nthis is text\r\nC: 4\r\n'), {
      fields: [
        { name: 'a', raw: 'A: 1\r\n' },
        { name: 'b', raw: 'B : 2\r\n 3\r\n' },
      ],
      separator: '',
      body: 'this is text\r\nC: 4\r\n',
    })
  })

  it('may be nothing at all', async () => {
    assert.deepEqual(await read(''), { fields: [], separator: '', body: '' })
    assert.deepEqual(await seen(await readMessage([])), { fields: [], separator: '', body: '' })
  })

  it('keeps octets above 127, NUL and a bare CR', async () => {
    assert.deepEqual(await read('A: \xe9\0\r1\r\n\r\n\xff\0\r\n'), {
      fields: [{ name: 'a', raw: 'A: \xe9\0\r1\r\n' }],
      separator: '\r\n',
      body: '\xff\0\r\n',
    })
  })

  it('a header of five megabytes is cut at the same place however it comes', async () => {
    const line = 'X-Filler: 0123456789012345678901234567890123456789012345678901234567\r\n'
    const bytes = bytesOf(`${line.repeat(75_000)}\r\nbody`)
    assert.ok(bytes.length > 5_000_000)
    const one = await readMessage([bytes])
    const many = await readMessage(
      cut(
        bytes,
        Array.from({ length: 900 }, (_, at) => at * 5_701),
      ),
    )
    assert.equal(many.fields.length, one.fields.length)
    assert.ok(one.fields.length > 50_000)
    assert.equal(one.separator.length, 0)
    assert.ok(
      one.fields.every((field) => field.raw.length === line.length),
      'whole lines only',
    )
    assert.ok(Buffer.from(await whole(many)).equals(bytes))
    assert.ok(Buffer.from(await whole(one)).equals(bytes))
  })

  it('a header in very many small pieces takes no time that grows with its square', async () => {
    const line = bytesOf('X-Filler: 0123456789\r\n')
    const pieces = Array.from({ length: 150_000 }, () => line)
    const took = processorTime()
    await readMessage([...pieces, bytesOf('\r\nbody')])
    assert.ok(took() < 5_000)
  })
})

/** A source that tells whether it was let go. */
function watched(pieces: readonly string[]) {
  const state = { closed: false, given: 0 }
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for (const piece of pieces) {
        state.given++
        yield bytesOf(piece)
      }
    } finally {
      state.closed = true
    }
  }
  return { state, source: source() }
}

const PIECES = ['A: 1\r\n', '\r\none', 'two', 'three']

describe('the source of a message', () => {
  it('is let go when the body is closed unread', async () => {
    const { state, source } = watched(PIECES)
    const message = await readMessage(source)
    await closeBody(message)
    assert.deepEqual(state, { closed: true, given: 2 })
    assert.equal(latin1(await collect(message.body)), '')
  })

  it('is let go when the reader stops half-way', async () => {
    const { state, source } = watched(PIECES)
    for await (const piece of (await readMessage(source)).body) {
      assert.equal(latin1(piece), 'one')
      break
    }
    assert.equal(state.closed, true)
  })

  it('is let go when the body was only peeked at', async () => {
    const { state, source } = watched(PIECES)
    const { start, message } = await peekBody(await readMessage(source), 4)
    assert.equal(latin1(start), 'onet')
    await closeBody(message)
    assert.equal(state.closed, true)
  })

  it('is let go when a message is written only in part', async () => {
    const { state, source } = watched(PIECES)
    for await (const _piece of messageBytes(await readMessage(source))) break
    assert.equal(state.closed, true)
  })

  it('is let go by itself at its end', async () => {
    const { state, source } = watched(PIECES)
    assert.equal(latin1(await collect((await readMessage(source)).body)), 'onetwothree')
    assert.equal(state.closed, true)
  })

  it('its failure is the reader’s failure', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield bytesOf('A: 1\r\n\r\nx')
      throw new Error('disk')
    }
    await assert.rejects(collect((await readMessage(failing())).body), /disk/)
  })
})

describe('a peek at the body', () => {
  it('gives what was asked for and leaves the body whole, in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes, places, fc.nat(60), async (body, at, size) => {
        const message = await readMessage([bytesOf('A: 1\r\n\r\n'), ...cut(body, at)])
        const peeked = await peekBody(message, size)
        assert.equal(latin1(peeked.start), latin1(body.subarray(0, size)))
        assert.equal(latin1(await collect(peeked.message.body)), latin1(body))
      }),
    )
  })
})
