import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { readArmor, readArmorFrom, writeArmor } from '../../lib/openpgp/armor.ts'
import { bytesOf } from '../mail/pieces.ts'

const armored = (bytes: Uint8Array | readonly Uint8Array[]): Buffer =>
  Buffer.concat([...writeArmor('MESSAGE', bytes)])

/** As others write it. */
function written(bytes: Uint8Array, columns: number, lineEnd: string): Uint8Array {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(new RegExp(`.{1,${columns}}`, 'g')) ?? []
  return bytesOf(
    ['-----BEGIN PGP MESSAGE-----', '', ...lines, '-----END PGP MESSAGE-----', ''].join(lineEnd),
  )
}

function streamed(text: Uint8Array, size: number): Promise<Uint8Array> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size)
  }
  return readArmorFrom('MESSAGE', pieces(), text.length)
}

describe('armor of much', () => {
  const much = Uint8Array.from({ length: 300_000 }, (_, at) => (at * 7919) >> 3)

  it('is the same, in how many pieces whatever is in it comes', () => {
    fc.assert(
      fc.property(
        fc
          .array(fc.nat(much.length), { maxLength: 10 })
          .map((cuts) => cuts.toSorted((x, y) => x - y)),
        (cuts) => {
          const pieces = [...cuts, much.length].map((end, at) =>
            much.subarray(at === 0 ? 0 : cuts[at - 1], end),
          )
          assert.ok(armored(pieces).equals(armored(much)))
        },
      ),
      { numRuns: 20 },
    )
  })

  it('is read in whatever lines it comes', () => {
    for (const columns of [4, 63, 64, 76, 77, 78, 1000, 1_000_000])
      for (const lineEnd of ['\n', '\r\n', ' \r\n'])
        for (const length of [much.length, much.length - 1, much.length - 2, 5]) {
          const bytes = much.subarray(0, length)
          const found = readArmor('MESSAGE', written(bytes, columns, lineEnd))
          assert.ok(Buffer.from(bytes).equals(found), `${columns} ${length}`)
        }
  })

  it('is read as it comes, in whatever pieces', async () => {
    for (const columns of [64, 76, 78, 1_000_000])
      for (const lineEnd of ['\n', '\r\n', ' \r\n'])
        for (const length of [much.length, 61_000, 61_441, 61_442, 62_500, 64_000, 5]) {
          const bytes = much.subarray(0, length)
          const text = written(bytes, columns, lineEnd)
          for (const size of [97, 65_536, text.length])
            assert.ok(
              Buffer.from(bytes).equals(await streamed(text, size)),
              `${columns} ${length} ${size}`,
            )
        }
  })

  it('is refused as it comes, if it is altered or not all there', async () => {
    const text = armored(much)
    for (const at of [3, 100, 66_000, 82_000, 200_000, 399_990]) {
      const bad = Buffer.from(text)
      bad[at] = 0x2a // *
      await assert.rejects(streamed(bad, 65_536), PermError)
      await assert.rejects(streamed(text.subarray(0, at), 65_536), PermError)
    }
    await assert.rejects(streamed(Buffer.concat([text, text]), 65_536), PermError)
    await assert.rejects(streamed(Buffer.concat([text, Buffer.from('more')]), 1000), PermError)
  })

  it('is refused with one letter that is none, wherever that stands', () => {
    const text = armored(much)
    for (const at of [100, 66_000, 200_000, 399_990]) {
      const bad = Buffer.from(text)
      bad[at] = 0x2a // *
      assert.throws(() => readArmor('MESSAGE', bad), PermError)
    }
  })
})
