import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { readArmor, readMaybeArmor, writeArmor } from '../../lib/container/armor.ts'
import { assertRefused, collect, utf8 } from './files.ts'

const BEGIN = '-----BEGIN AGE ENCRYPTED FILE-----'
const END = '-----END AGE ENCRYPTED FILE-----'

async function armored(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await collect(writeArmor([bytes]))).toString('latin1')
}

describe('ASCII armor', () => {
  it('gives back any bytes, whatever the pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.integer({ min: 1, max: 90 }),
        async (bytes, size) => {
          const text = utf8(await armored(bytes))
          const pieces: Uint8Array[] = []
          for (let at = 0; at < text.length; at += size) pieces.push(text.subarray(at, at + size))
          assert.deepEqual([...(await collect(readArmor(pieces)))], [...bytes])
        },
      ),
    )
  })

  it('of a long file has lines of 64 columns and gives the file back', async () => {
    const bytes = new Uint8Array(300_001).map((_, at) => at % 251)
    const lines = (await armored(bytes)).split('\n')
    assert.deepEqual([lines[0], lines.at(-2), lines.at(-1)], [BEGIN, END, ''])
    assert.ok(lines.slice(1, -3).every((line) => line.length === 64))
    assert.deepEqual(await collect(readArmor([utf8(lines.join('\n'))])), bytes)
    assert.deepEqual(await collect(readArmor([utf8(lines.join('\r\n'))])), bytes)
  })

  it('is recognised by its first octet, and a bare file passes as it is', async () => {
    const bytes = utf8('age-encryption.org/v1\n...')
    const text = await armored(bytes)
    assert.deepEqual(await collect(readMaybeArmor([bytes])), bytes)
    assert.deepEqual(await collect(readMaybeArmor([utf8(text)])), bytes)
    assert.deepEqual(await collect(readMaybeArmor([utf8(`\r\n \n${text}`)])), bytes)
    assert.deepEqual(await collect(readMaybeArmor([])), new Uint8Array(0))
    await assertRefused(collect(readMaybeArmor([utf8('-----')])), 'armor')
  })

  it('that could be written in another way is refused', async () => {
    for (const text of [
      '',
      `${BEGIN}\n`,
      `${BEGIN}\nQQ==\n`,
      `${BEGIN}\nQQ\n${END}\n`,
      `${BEGIN}\nQR==\n${END}\n`, // trailing bits that are not zero
      `${BEGIN}\nQQ==\nQQ==\n${END}\n`,
      `${BEGIN}\nQUFB\nQUFB\n${END}\n`,
      `${BEGIN}\n QUFB\n${END}\n`,
      `${BEGIN}\nQUFB\r\r\n${END}\n`,
      `${BEGIN}\nQUF-\n${END}\n`,
      `${BEGIN}\nQUFB\n\n${END}\n`,
      `${BEGIN}\nQUFB${END}\n`,
      `${BEGIN}\nQUFB\n${END}\n${BEGIN}\nQUFB\n${END}\n`,
      `${BEGIN}\nQUFB\n${END}\n\u00a0`,
      ` ${BEGIN}\nQUFB\n${END}\n`,
      `${'\n'.repeat(1025)}${BEGIN}\nQUFB\n${END}\n`,
      `${BEGIN}\nQUFB\n${END}\n${'\n'.repeat(1025)}`,
    ]) {
      await assertRefused(
        collect(readArmor([Uint8Array.from(Buffer.from(text, 'latin1'))])),
        'armor',
      )
    }
  })

  it('of garbage is refused, never anything but a ContainerError', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        await assertRefused(collect(readArmor([utf8(`${BEGIN}\n`), bytes])), 'armor')
      }),
    )
  })
})
