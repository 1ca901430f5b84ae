import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { readHeader } from '../../lib/container/container.ts'
import { pskIdentity, pskRecipient } from '../../lib/container/psk.ts'
import { openFileKey, sealFileKey } from '../../lib/container/sealed-key.ts'
import type { Stanza } from '../../lib/container/stanza.ts'
import { assertRefused, opened, sealed, utf8 } from './files.ts'

// Both files of vectors come from fixed inputs, which their `source` names. A sealed file key has no other
// input, so it is made again here; a file cannot be, since `seal` takes its randomness from the system.
interface SealedKeyCase {
  readonly name: string
  readonly expect: 'opens' | 'tag wrong' | 'malformed'
  readonly kek: string
  readonly salt: string
  readonly type: string
  readonly args: readonly [string, string]
  readonly fileKey: string
  readonly sealed: string
}

interface FileCase {
  readonly name: string
  readonly expect: 'opens' | 'no match' | 'malformed' | 'damaged'
  readonly keyId: string
  readonly key: string
  readonly plaintext: string
  readonly file: string
}

function readCases(name: string): readonly unknown[] {
  const path = join(process.cwd(), 'test', 'vectors', name)
  const { cases } = JSON.parse(readFileSync(path, 'utf8')) as { readonly cases: readonly unknown[] }
  assert.ok(cases.length > 10)
  return cases
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'))
}

describe('a sealed file key, by its published vectors', () => {
  for (const vector of readCases('container-sealed-key.json') as SealedKeyCase[]) {
    const { type, args } = vector
    const [kek, salt, fileKey, box] = [
      hex(vector.kek),
      hex(vector.salt),
      hex(vector.fileKey),
      hex(vector.sealed),
    ]
    it(`${vector.name}: ${vector.expect}`, () => {
      if (vector.expect === 'malformed') {
        assert.throws(() => openFileKey(kek, salt, type, args, box), {
          code: 'container/malformed',
          part: 'header',
        })
        return
      }
      const key = openFileKey(kek, salt, type, args, box)
      assert.deepEqual(key, vector.expect === 'opens' ? fileKey : undefined)
      const again = sealFileKey(kek, salt, type, args, fileKey)
      assert.equal(Buffer.from(again).equals(box), vector.expect === 'opens')
    })
  }

  it('leaves the key that it was sealed under as it was', () => {
    const [kek, salt, fileKey] = [
      new Uint8Array(32).fill(1),
      new Uint8Array(16),
      new Uint8Array(16),
    ]
    openFileKey(kek, salt, 't', ['a', 'b'], sealFileKey(kek, salt, 't', ['a', 'b'], fileKey))
    assert.deepEqual(kek, new Uint8Array(32).fill(1))
  })

  it('with any one bit changed does not open', () => {
    const bytes = (size: number): fc.Arbitrary<Uint8Array> =>
      fc.uint8Array({ minLength: size, maxLength: size })
    fc.assert(
      fc.property(bytes(32), bytes(16), bytes(16), fc.nat(255), (kek, salt, fileKey, bit) => {
        const box = sealFileKey(kek, salt, 'hisho/bf', ['1', 'id'], fileKey)
        assert.deepEqual(
          [...(openFileKey(kek, salt, 'hisho/bf', ['1', 'id'], box) ?? [])],
          [...fileKey],
        )
        box[bit >> 3]! ^= 1 << (bit & 7)
        assert.equal(openFileKey(kek, salt, 'hisho/bf', ['1', 'id'], box), undefined)
      }),
    )
  })
})

describe('hisho/psk, by its published vectors', () => {
  const parts = { 'no match': 'match', malformed: 'header', damaged: 'hmac' } as const

  for (const vector of readCases('container-psk.json') as FileCase[]) {
    it(`${vector.name}: ${vector.expect}`, async () => {
      const identity = pskIdentity((id) => (id === vector.keyId ? hex(vector.key) : undefined))
      const work = opened(identity, [Uint8Array.from(Buffer.from(vector.file, 'base64'))])
      if (vector.expect === 'opens') assert.deepEqual(await work, hex(vector.plaintext))
      else await assertRefused(work, parts[vector.expect])
    })
  }
})

describe('hisho/psk', () => {
  const key = new Uint8Array(randomBytes(32))

  it('names its key id in clear and asks for no other', async () => {
    const file = await sealed(pskRecipient('a.example-1', key), utf8('hello'))
    const asked: string[] = []
    const identity = pskIdentity((keyId) => {
      asked.push(keyId)
      return key
    })
    assert.deepEqual(await opened(identity, [file]), utf8('hello'))
    assert.deepEqual(asked, ['a.example-1'])
  })

  it('uses a new salt for each file', async () => {
    const salts = new Set<string | undefined>()
    for (let n = 0; n < 10; n++) {
      const { stanzas } = await readHeader([await sealed(pskRecipient('k', key), utf8('x'))])
      salts.add(stanzas[0]?.args[1])
    }
    assert.equal(salts.size, 10)
  })

  it('does not open with its arguments changed, even for a writer who knows the shared key', async () => {
    const [stanza] = await pskRecipient('a', key).wrap(new Uint8Array(16))
    assert.ok(stanza)
    const unwrap = (changed: Stanza): Promise<Uint8Array | undefined> =>
      pskIdentity(() => key).unwrap([changed])
    assert.deepEqual(await unwrap(stanza), new Uint8Array(16))
    const [keyId = '', salt = ''] = stanza.args
    assert.equal(await unwrap({ ...stanza, args: ['b', salt] }), undefined)
    const other = salt.startsWith('A') ? `B${salt.slice(1)}` : `A${salt.slice(1)}`
    assert.equal(await unwrap({ ...stanza, args: [keyId, other] }), undefined)
  })

  it('refuses a key that is too short to be one, and a key id that a header cannot hold', async () => {
    assert.throws(() => pskRecipient('a', new Uint8Array(16)), RangeError)
    for (const keyId of ['', 'two words', 'a\nb', '鍵']) {
      await assertRefused(sealed(pskRecipient(keyId, key), utf8('x')), 'header')
    }
  })
})
