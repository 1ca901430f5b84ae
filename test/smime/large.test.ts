// Large messages, which are sealed and opened where they lie: at the borders of the steps in which that is done.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { PermError } from '../../lib/errors.ts'
import { collectWithin } from '../../lib/mail/large-bytes.ts'
import { readBer, type BerElement } from '../../lib/smime/cms/ber.ts'
import { parseEncryptedContent } from '../../lib/smime/cms/enveloped-data.ts'
import { openContent, type OwnKey } from '../../lib/smime/cms/open.ts'
import { sealPieces, type Profile } from '../../lib/smime/cms/seal.ts'
import { smimeKey } from '../support/smime-keys.ts'

const PROFILES: readonly Profile[] = ['compat', 'modern']
const STEP = 64 * 1024
const LARGE = 1024 * 1024
const SIZES = [1, 16, STEP, LARGE - STEP, LARGE, LARGE + 3 * STEP].flatMap((size) => [
  size - 1,
  size,
  size + 1,
  size + 16,
])
const key = smimeKey('P-256')
const other = smimeKey('P-384')

/** As it is kept while it arrives. */
function kept(bytes: Uint8Array): Promise<Uint8Array> {
  return collectWithin([bytes], 2 * LARGE, () => new Error('too long'))
}

async function sealed(
  content: Uint8Array,
  profile: Profile,
  around: { before?: Uint8Array; after?: Uint8Array } = {},
  to: readonly OwnKey[] = [key],
): Promise<Buffer> {
  const certificates = to.map(({ certificate }) => certificate)
  return Buffer.concat(
    sealPieces({ content: await kept(content), ...around }, certificates, profile),
  )
}

const outcome = (cms: Uint8Array): string => {
  try {
    return openContent(parseEncryptedContent(cms), [key]) ? 'opened' : 'for others'
  } catch (error) {
    assert.ok(error instanceof PermError, String(error))
    return error.code
  }
}

function opened(cms: Uint8Array, ...keys: readonly OwnKey[]): Uint8Array {
  return openContent(parseEncryptedContent(cms), keys)?.plaintext ?? new Uint8Array()
}

describe('large S/MIME messages', () => {
  for (const profile of PROFILES) {
    it(`${profile}: come out as they went in, whatever their size and what stands around them`, async () => {
      for (const [at, size] of SIZES.entries()) {
        const content = randomBytes(size)
        const [before, after] = [randomBytes(1 + (at % 17)), randomBytes((at * 5) % 33)]
        const cms = await sealed(content, profile, { before, after })
        const found = opened(await kept(cms), key)
        assert.ok(Buffer.concat([before, content, after]).equals(found), `${size}`)
      }
    })

    it(`${profile}: in pieces without a length, as others send what streams`, async () => {
      const content = randomBytes(LARGE + STEP + 1)
      const cms = await sealed(content, profile)
      for (const size of [1024, 4093, STEP, LARGE]) {
        const found = opened(await kept(inPieces(cms, size)), key)
        assert.ok(content.equals(found), `${size}`)
      }
    })

    it(`C5: ${profile}: a key that does not open it leaves it to the next`, async () => {
      const content = randomBytes(LARGE + STEP + 1)
      const cms = await sealed(content, profile, {}, [key, other])
      // The wrapped content key of the first: 40 octets.
      cms[cms.indexOf(Buffer.from('0428', 'hex')) + 10]! ^= 1
      const large = await kept(cms)
      assert.equal(outcome(await kept(cms)), 'smime/decrypt')
      const all = openContent(parseEncryptedContent(large), [key, other])
      assert.ok(content.equals(all?.plaintext ?? new Uint8Array()))
      assert.deepEqual(all?.keyIndexes, [1])
    })
  }

  it('C5: modern: one bit changed in any step, or cut off: it does not open, and is as it was', async () => {
    const content = randomBytes(LARGE + STEP + 1)
    const cms = await sealed(content, 'modern')
    const large = await kept(cms)
    for (let at = cms.length - 1; at > STEP; at -= STEP) {
      large[at]! ^= 1 << (at % 8)
      assert.equal(outcome(large), 'smime/decrypt', `${at}`)
      large[at]! ^= 1 << (at % 8)
    }
    assert.ok(cms.equals(large))
    assert.notEqual(outcome(await kept(cms.subarray(0, LARGE + 1))), 'opened')
    assert.ok(content.equals(opened(large, key)))
  })
})

const END = Buffer.alloc(2)

/** The same message in BER: no lengths around its content, and that in pieces. */
function inPieces(cms: Uint8Array, sizeBytes: number): Buffer {
  const [type, wrapper] = readBer(cms).children
  const [data] = wrapper!.children
  const [version, recipients, info, ...rest] = data!.children
  const [contentType, algorithm, { content }] = info!.children as [
    BerElement,
    BerElement,
    BerElement,
  ]
  const pieces: Uint8Array[] = []
  for (let at = 0; at < content.length; at += sizeBytes) {
    const piece = content.subarray(at, at + sizeBytes)
    const start = Buffer.from('0483000000', 'hex')
    start.writeUIntBE(piece.length, 2, 3)
    pieces.push(start, piece)
  }
  const open = (tag: number, ...inside: readonly Uint8Array[]): Buffer =>
    Buffer.concat([Buffer.from([tag, 0x80]), ...inside, END])
  const encrypted = open(0x30, contentType.bytes, algorithm.bytes, open(0xa0, ...pieces))
  const around = [version!.bytes, recipients!.bytes, encrypted, ...rest.map(({ bytes }) => bytes)]
  return open(0x30, type!.bytes, open(0xa0, open(0x30, ...around)))
}
