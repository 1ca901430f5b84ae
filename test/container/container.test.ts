import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { open, readHeader, seal } from '../../lib/container/container.ts'
import { ContainerError } from '../../lib/container/container-error.ts'
import { pskIdentity, pskRecipient } from '../../lib/container/psk.ts'
import type { Recipient, Stanza } from '../../lib/container/stanza.ts'
import { assertRefused, collect, headerLength, opened, sealed, utf8 } from './files.ts'

const CHUNK = 64 * 1024
const NONCE = 16
const TAG = 16

const key = new Uint8Array(randomBytes(32))
const recipient = pskRecipient('a.example', key)
const identity = pskIdentity(() => key)

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let at = 0
  for (const size of sizes) {
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return [...pieces, bytes.subarray(at)]
}

function withStanza(stanza: Stanza): Recipient {
  return { wrap: async (fileKey) => [stanza, ...(await recipient.wrap(fileKey))] }
}

describe('a sealed file', () => {
  for (const size of [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK, 20 * CHUNK + 7]) {
    it(`of ${size} bytes opens, and is as long as the specification says`, async () => {
      const plaintext = new Uint8Array(randomBytes(size))
      const file = await sealed(recipient, plaintext)
      assert.deepEqual(await opened(identity, [file]), plaintext)
      const chunks = Math.max(1, Math.ceil(size / CHUNK))
      assert.equal(file.length, headerLength(file) + NONCE + size + chunks * TAG)
    })
  }

  it('is the same file whatever the pieces it came and went in', async () => {
    const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(2 * CHUNK)), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(fc.nat(3 * CHUNK), sizes, sizes, async (size, before, after) => {
        const plaintext = new Uint8Array(randomBytes(size))
        const file = await collect(seal([recipient], cut(plaintext, before)))
        assert.deepEqual(await opened(identity, cut(file, after)), plaintext)
      }),
      { numRuns: 60 },
    )
  })

  it('opens from pieces of one byte, sync or async', async () => {
    const plaintext = new Uint8Array(randomBytes(300))
    const file = await sealed(recipient, plaintext)
    const bytes = Array.from(file, (octet) => Uint8Array.of(octet))
    assert.deepEqual(await opened(identity, bytes), plaintext)
    const stream = (async function* () {
      yield* bytes
    })()
    assert.deepEqual(await opened(identity, stream), plaintext)
  })

  it('opens for each of its recipients, and for nobody else', async () => {
    const other = new Uint8Array(randomBytes(32))
    const file = await collect(
      seal([recipient, pskRecipient('b.example', other)], [utf8('to both')]),
    )
    for (const [id, sharedKey] of [
      ['a.example', key],
      ['b.example', other],
    ] as const) {
      const reader = pskIdentity((keyId) => (keyId === id ? sharedKey : undefined))
      assert.deepEqual(await opened(reader, [file]), utf8('to both'))
    }
    await assertRefused(
      opened(
        pskIdentity(() => undefined),
        [file],
      ),
      'match',
    )
    await assertRefused(open([], [file]), 'match')
  })

  it('never is the same twice', async () => {
    const [a, b] = [
      await sealed(recipient, utf8('same words')),
      await sealed(recipient, utf8('same words')),
    ]
    assert.equal(a.length, b.length)
    assert.notDeepEqual(a, b)
    assert.notDeepEqual(a.subarray(headerLength(a)), b.subarray(headerLength(b)))
  })

  it('may hold stanzas of types that nobody knows', async () => {
    const body = new Uint8Array(randomBytes(96)) // two full lines, and so an empty third
    const grease = { type: 'grease-x', args: ['~!', 'a'], body }
    const file = await sealed(withStanza(grease), utf8('hello'))
    assert.deepEqual(await opened(identity, [file]), utf8('hello'))
    const { stanzas } = await readHeader([file])
    assert.deepEqual(stanzas[0], grease)
    assert.equal(stanzas[1]?.type, 'hisho/psk')
  })
})

describe('a file that is not as it was written', () => {
  it('with any one bit changed does not open', async () => {
    const plaintext = utf8('a message of a few words')
    const file = await sealed(recipient, plaintext)
    for (let bit = 0; bit < file.length * 8; bit++) {
      const changed = Uint8Array.from(file)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      await assertRefused(opened(identity, [changed]))
    }
  })

  it('with any one bit changed in a file of several chunks does not open', async () => {
    const file = await sealed(recipient, new Uint8Array(2 * CHUNK + 100))
    await fc.assert(
      fc.asyncProperty(fc.nat(file.length * 8 - 1), async (bit) => {
        const changed = Uint8Array.from(file)
        changed[bit >> 3]! ^= 1 << (bit & 7)
        await assertRefused(opened(identity, [changed]))
      }),
      { numRuns: 200 },
    )
  })

  it('cut off at any octet does not open', async () => {
    const file = await sealed(recipient, utf8('short'))
    const payload = headerLength(file) + NONCE
    for (let end = 0; end < file.length; end++) {
      const part = end < payload ? 'header' : 'payload'
      await assertRefused(opened(identity, [file.subarray(0, end)]), part)
    }
  })

  it('cut off at any chunk boundary does not open', async () => {
    for (const size of [3 * CHUNK, 3 * CHUNK + 5]) {
      const file = await sealed(recipient, new Uint8Array(size))
      const start = headerLength(file) + NONCE
      for (let end = start; end < file.length; end += CHUNK + TAG) {
        await assertRefused(opened(identity, [file.subarray(0, end)]), 'payload')
      }
    }
  })

  it('with chunks swapped, repeated or put behind does not open', async () => {
    const file = await sealed(recipient, new Uint8Array(randomBytes(3 * CHUNK)))
    const start = headerLength(file) + NONCE
    const chunk = (n: number): Uint8Array =>
      file.subarray(start + n * (CHUNK + TAG), start + (n + 1) * (CHUNK + TAG))
    const head = file.subarray(0, start)
    for (const order of [[1, 0, 2], [0, 0, 1, 2], [0, 1, 2, 2], [0, 2], [2], [0, 1, 2, 0]]) {
      await assertRefused(opened(identity, [head, ...order.map(chunk)]), 'payload')
    }
    assert.equal((await opened(identity, [head, ...[0, 1, 2].map(chunk)])).length, 3 * CHUNK)
  })

  it('gives out nothing of a chunk whose tag is wrong', async () => {
    const file = await sealed(recipient, new Uint8Array(CHUNK + 10))
    file[file.length - 1]! ^= 1
    const { plaintext } = await open([identity], [file])
    let given = 0
    await assert.rejects(async () => {
      for await (const piece of plaintext) given += piece.length
    }, ContainerError)
    assert.equal(given, CHUNK)
  })

  it('is refused with one class, which is for bounces, and with the code of its layer', async () => {
    const file = await sealed(recipient, utf8('x'))
    file[file.length - 1]! ^= 1
    await assert.rejects(opened(identity, [file]), { code: 'container/damaged', statusClass: 5 })
    await assert.rejects(open([], [file]), { code: 'container/no-match' })
    await assert.rejects(open([], [utf8('From: alice')]), { code: 'container/malformed' })
  })
})

describe('the header', () => {
  const rest = '-> a\n\n--- 9TEXTEXTEXTEXTEXTEXTEXTEXTEXTEXTEXTEXTEXTEU\n'

  it('of a later version or of an unknown suite is refused by name', async () => {
    for (const line of [
      'age-encryption.org/v2',
      'hisho-encryption/v1 rc4',
      'hisho-encryption/v1',
    ]) {
      await assert.rejects(readHeader([utf8(`${line}\n${rest}`)]), {
        code: 'crypto/unsupported',
        message: `format ${line} is not supported`,
      })
    }
    await assertRefused(readHeader([utf8(`hisho\u001b[2J\n${rest}`)]), 'header')
  })

  it('is not read further than its limits', async () => {
    let read = 0
    const endless = (function* () {
      yield utf8('age-encryption.org/v1\n')
      for (;;) {
        read += CHUNK
        yield new Uint8Array(CHUNK).fill(0x41)
      }
    })()
    await assertRefused(readHeader(endless), 'header')
    assert.ok(read < 1024 * 1024, `${read}`)
    const many = `age-encryption.org/v1\n${'-> a\n\n'.repeat(513)}`
    await assertRefused(readHeader([utf8(many)]), 'header')
  })

  it('that we could not read is not written', async () => {
    const none = new Uint8Array(0)
    const stanza = { type: 'x', args: [], body: none }
    const bad: Stanza[][] = [
      [],
      [{ ...stanza, type: '' }],
      [{ ...stanza, args: ['two words'] }],
      [{ ...stanza, args: ['línea'] }],
      [{ ...stanza, type: 'scrypt' }, stanza],
      Array.from({ length: 513 }, () => stanza),
      [{ ...stanza, body: new Uint8Array(256 * 1024) }],
    ]
    for (const stanzas of bad) {
      await assertRefused(collect(seal([{ wrap: async () => stanzas }], [])), 'header')
    }
  })

  it('holds what was written, whatever it is', async () => {
    const word = fc.stringMatching(/^[!-~]{1,90}$/)
    const stanza = fc.record({
      type: word.filter((type) => type !== 'scrypt'),
      args: fc.array(word, { maxLength: 4 }),
      body: fc.uint8Array({ maxLength: 200 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(stanza, { minLength: 1, maxLength: 5 }), async (stanzas) => {
        const file = await collect(seal([{ wrap: async () => stanzas }], []))
        const read = await readHeader([file])
        assert.deepEqual(
          read.stanzas.map(({ type, args, body }) => ({ type, args, body: [...body] })),
          stanzas.map(({ type, args, body }) => ({ type, args: [...args], body: [...body] })),
        )
      }),
    )
  })

  it('of garbage is refused, never anything but a ContainerError', async () => {
    const start = fc.constantFrom(
      '',
      'age-encryption.org/v1\n',
      'age-encryption.org/v1\n-> X25519 ',
    )
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 300 }), async (text, bytes) => {
        await assertRefused(opened(identity, [utf8(text), bytes]))
      }),
      { numRuns: 500 },
    )
  })

  it('with a file key of a wrong length from an identity is refused', async () => {
    const file = await sealed(recipient, utf8('x'))
    await assertRefused(opened({ unwrap: async () => new Uint8Array(32) }, [file]), 'header')
  })
})

describe('the streams', () => {
  /** A source that tells whether it was closed. */
  function watched(bytes: Uint8Array): {
    source: AsyncGenerator<Uint8Array>
    closed: () => boolean
  } {
    let closed = false
    const source = (async function* () {
      try {
        for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
      } finally {
        closed = true
      }
    })()
    return { source, closed: () => closed }
  }

  it('close their input when the reader stops early, and when the file is refused', async () => {
    const plaintext = new Uint8Array(5 * CHUNK)
    const written = watched(plaintext)
    for await (const piece of seal([recipient], written.source)) if (piece.length > 1000) break
    assert.ok(written.closed())

    const file = await sealed(recipient, plaintext)
    const read = watched(file)
    for await (const piece of (await open([identity], read.source)).plaintext) if (piece) break
    assert.ok(read.closed())

    const refused = watched(file)
    await assertRefused(open([], refused.source), 'match')
    assert.ok(refused.closed())

    const described = watched(file)
    await readHeader(described.source)
    assert.ok(described.closed())
  })

  it('hand on the error of a source that breaks', async () => {
    const broken = async function* (bytes: Uint8Array): AsyncGenerator<Uint8Array> {
      yield bytes
      throw new Error('the disk is gone')
    }
    await assert.rejects(collect(seal([recipient], broken(new Uint8Array(10)))), /disk is gone/)
    const file = await sealed(recipient, new Uint8Array(3 * CHUNK))
    await assert.rejects(opened(identity, broken(file.subarray(0, CHUNK))), /disk is gone/)
  })

  it('let the event loop turn while 16 MiB in memory go through', async () => {
    let turns = 0
    let going = true
    const count = (): void => {
      turns++
      if (going) setImmediate(count)
    }
    setImmediate(count)
    const file = await sealed(recipient, new Uint8Array(16 * 1024 * 1024))
    const whileSealing = turns
    await opened(identity, [file])
    going = false
    assert.ok(whileSealing >= 15, `${whileSealing}`)
    assert.ok(turns - whileSealing >= 15, `${turns}`)
  })

  it('hold a few chunks, not the message', async () => {
    let given = 0
    let taken = 0
    let ahead = 0
    const source = (function* () {
      for (; given < 200; given++) yield new Uint8Array(CHUNK)
    })()
    const { plaintext } = await open([identity], seal([recipient], source))
    for await (const piece of plaintext) {
      taken += piece.length
      ahead = Math.max(ahead, given * CHUNK - taken)
    }
    assert.equal(taken, 200 * CHUNK)
    assert.ok(ahead <= 4 * CHUNK, `${ahead}`)
  })

  it('do not change the bytes they are given', async () => {
    const plaintext = new Uint8Array(CHUNK * 2 + 3).fill(7)
    const file = await sealed(recipient, plaintext)
    const copy = Uint8Array.from(file)
    await opened(identity, [file])
    assert.deepEqual(file, copy)
    assert.deepEqual(plaintext, new Uint8Array(CHUNK * 2 + 3).fill(7))
  })
})
