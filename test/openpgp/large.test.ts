// Large messages: what is done to them in steps and in place, at the borders of all of these. The library is the other side.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { ReadableStream } from 'node:stream/web'
import { after, before, describe, it } from 'node:test'
import {
  createMessage,
  decrypt,
  encrypt,
  enums,
  readKey,
  readMessage,
  readPrivateKey,
  sign,
  type PrivateKey,
} from 'openpgp'
import { PermError } from '../../lib/errors.ts'
import { collectWithin } from '../../lib/mail/large-bytes.ts'
import { collect } from '../../lib/mail/message.ts'
import type { Opened } from '../../lib/openpgp/opening.ts'
import type { OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import { digestsOf } from '../../lib/openpgp/signatures.ts'
import { newKey, startPool, type TestKey } from './world.ts'
import { ALICE, BOB } from '../support/scheme-mail.ts'

const STEP = 64 * 1024
const LARGE = 1024 * 1024
/** Lengths that are written in one, two and five octets, and those at which work is cut into steps. */
const SIZES = [0, 1, 150, 180, 8100, 8384, STEP, LARGE, LARGE + STEP, 2 * LARGE + 3 * STEP].flatMap(
  (size) => [size - 1, size, size + 1].filter((one) => one >= 0),
)

/** As it is kept while it arrives. */
function kept(bytes: Uint8Array): Promise<Uint8Array> {
  return collectWithin([bytes], 8 * LARGE, () => new Error('too long'))
}

describe('large OpenPGP messages', () => {
  let pool: OpenPgpPool
  let alice: TestKey
  let bob: TestKey
  let bobKey: PrivateKey
  before(async () => {
    pool = startPool()
    alice = await newKey(pool, ALICE)
    bob = await newKey(pool, BOB)
    bobKey = await readPrivateKey({ binaryKey: bob.secret })
  })
  after(() => pool?.close())

  it('are sealed and signed so that the library reads them, whatever their size', async () => {
    const verificationKeys = await readKey({ binaryKey: alice.certificate })
    for (const size of SIZES) {
      const content = randomBytes(size)
      const { packets } = await pool.run('seal', {
        content,
        certificates: [bob.certificate],
        secretKeys: [alice.secret],
      })
      const { data, signatures } = await decrypt({
        message: await readMessage({ binaryMessage: Buffer.concat(packets) }),
        decryptionKeys: bobKey,
        verificationKeys,
        format: 'binary',
      })
      assert.ok(content.equals(data), `${size}`)
      assert.equal(signatures.length, 1)
      await signatures[0]?.verified
    }
  })

  async function opened(message: Uint8Array, ...keys: readonly TestKey[]): Promise<Opened> {
    const args = {
      message: await kept(message),
      secretKeys: keys.map(({ secret }) => Uint8Array.from(secret)),
      weakCiphers: 'refuse',
    } as const
    return pool.run('open', args, 'give')
  }

  async function statusOf({ content, signatures, digests }: Opened): Promise<string[]> {
    const isLarge = content.length >= LARGE
    assert.equal(digests.length, isLarge ? 1 : 0)
    const { found } = await pool.run('verify', {
      content: isLarge ? new Uint8Array() : content,
      signatures,
      certificates: [alice.certificate],
      ...(isLarge && { digests }),
    })
    return found.map(({ status }) => status)
  }

  /** By the library: in pieces, whole, or compressed. */
  async function libraryMade(
    content: Uint8Array,
    form: 'pieces' | 'whole' | 'compressed',
    to: readonly TestKey[] = [bob],
  ): Promise<Uint8Array> {
    const binary = form === 'pieces' ? ReadableStream.from([content]) : content
    const compression = form === 'compressed' ? enums.compression.zlib : undefined
    const made = await encrypt({
      message: await createMessage<Uint8Array | ReadableStream<Uint8Array>>({ binary }),
      encryptionKeys: await Promise.all(
        to.map(({ certificate }) => readKey({ binaryKey: certificate })),
      ),
      signingKeys: await readPrivateKey({ binaryKey: alice.secret }),
      format: 'binary',
      config: {
        ...(compression !== undefined && { preferredCompressionAlgorithm: compression }),
      },
    })
    return made instanceof Uint8Array ? made : collect(made)
  }

  it('open as the library has sealed them, in pieces and whole, and are verified', async () => {
    for (const size of SIZES) {
      const content = randomBytes(size)
      for (const form of ['pieces', 'whole'] as const) {
        const found = await opened(await libraryMade(content, form), bob)
        assert.ok(content.equals(found.content), `${size} ${form}`)
        assert.deepEqual(await statusOf(found), ['good'])
      }
    }
  })

  it('open with what is compressed in them, and as we have sealed them', async () => {
    const content = Buffer.concat([randomBytes(LARGE + 1), Buffer.alloc(LARGE)])
    const { packets } = await pool.run('seal', {
      content,
      certificates: [bob.certificate],
      secretKeys: [alice.secret],
    })
    const compressed = await libraryMade(content, 'compressed')
    assert.ok(compressed.length < content.length)
    for (const message of [compressed, Buffer.concat(packets)]) {
      const found = await opened(message, bob)
      assert.ok(content.equals(found.content))
      assert.deepEqual(await statusOf(found), ['good'])
    }
  })

  it('of another content are not verified', async () => {
    const found = await opened(await libraryMade(randomBytes(LARGE), 'whole'), bob)
    const other = await opened(await libraryMade(randomBytes(LARGE), 'whole'), bob)
    assert.deepEqual(await statusOf({ ...found, digests: other.digests }), ['bad'])
  })

  it('C1 C5: with one bit changed in any step, or cut off, have one outcome', async () => {
    const message = Buffer.from(await libraryMade(randomBytes(LARGE + 2 * STEP + 1), 'whole'))
    const refused = async (bytes: Uint8Array, name: string): Promise<void> =>
      assert.rejects(opened(bytes, bob), (error) => {
        assert.ok(error instanceof PermError, name)
        assert.equal(error.message, 'the message does not open')
        return true
      })
    for (let at = message.length - 1; at > STEP; at -= STEP) {
      message[at]! ^= 1 << (at % 8)
      await refused(message, `changed at ${at}`)
      message[at]! ^= 1 << (at % 8)
    }
    for (const length of [LARGE, LARGE + STEP, message.length - 1])
      await refused(message.subarray(0, length), `cut at ${length}`)
  })

  it('stay whole for the next key, where one has another session key', async () => {
    const content = randomBytes(LARGE + 1)
    const carol = await newKey(pool, 'carol@b.example')
    const message = Buffer.from(await libraryMade(content, 'pieces', [bob]))
    // What was sealed for Carol in another message, in front.
    const foreign = Buffer.from(await libraryMade(randomBytes(10), 'whole', [carol]))
    const packet = foreign.subarray(0, 2 + foreign[1]!)
    const found = await opened(Buffer.concat([packet, message]), carol, bob)
    assert.ok(content.equals(found.content))
    assert.deepEqual(found.openers, [bob.fingerprint])
  })

  it('are verified as text with any line ends, at the borders of steps too', async () => {
    const signingKeys = await readPrivateKey({ binaryKey: alice.secret })
    for (const [at, end] of [-2, -1, 0, 1].flatMap((shift) =>
      ['\n', '\r\n', '\r\r\n', '\n\n', '\r'].map((lineEnd) => [STEP + shift, lineEnd] as const),
    )) {
      const text = `${'ü'.repeat(1 + (at >> 1)).slice(0, at >> 1)}${at % 2 ? 'x' : ''}${end}${'y'.repeat(STEP)}\n`
      const signatures = await sign({
        message: await createMessage({ text }),
        signingKeys,
        detached: true,
        format: 'binary',
      })
      const found = await pool.run('verify', {
        content: new Uint8Array(),
        signatures,
        certificates: [alice.certificate],
        digests: await digestsOf(signatures, Buffer.from(text)),
      })
      assert.deepEqual(
        found.found.map(({ status }) => status),
        ['good'],
        `${at} ${JSON.stringify(end)}`,
      )
    }
  })
})
