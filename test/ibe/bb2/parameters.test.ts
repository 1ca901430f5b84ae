import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../../lib/errors.ts'
import { createBb2, createBb2Pool, type Bb2 } from '../../../lib/ibe/bb2/bb2.ts'
import {
  formatLegacy,
  parametersOf,
  publicKeyOf,
  type LegacyParameters,
} from '../../../lib/ibe/bb2/parameters.ts'
import { parseParameters } from '../../../lib/ibe/parameters.ts'
import { readVectors } from '../../support/vectors.ts'

interface RecordVector {
  readonly kind: 'record'
  readonly name: string
  readonly expect: 'accepted' | 'refused'
  readonly text: string
  readonly tag?: string
}

const { cases } = readVectors<{ cases: readonly (RecordVector | { kind: 'other' })[] }>('ibe-bb2')

describe('a record of version 1.0', () => {
  const pool = createBb2Pool({ size: 1, queueLimit: 100 })
  const bb2: Bb2 = createBb2({ pool })
  before(() => pool.warm())
  after(() => pool.close())

  const use = async (text: string): Promise<LegacyParameters> => {
    const parameters = parseParameters(text)
    assert.equal(parameters?.version, '1.0')
    await bb2.check(parameters)
    return parameters
  }

  for (const vector of cases) {
    if (vector.kind !== 'record') continue
    const { name, expect, text, tag } = vector
    it(`vector: ${name}: ${expect}`, async () => {
      if (expect === 'accepted') {
        await use(text)
        return
      }
      await assert.rejects(use(text), (error: unknown) => {
        assert.ok(error instanceof PermError)
        assert.equal(error.code, 'ibe/parameters')
        assert.equal(error.message.split(' ')[0], tag)
        return true
      })
    })
  }

  it('is written as it is read, and its numbers are the public key', async () => {
    const { masterKey, publicKey } = await bb2.generate()
    masterKey.wipe()
    const parameters = bb2.parametersOf(7, publicKey)
    const text = formatLegacy(parameters)
    assert.match(text, /^ver=1\.0; a=bb2; c=bn256; n=7; g=1 \S{44} \S{44}; X=1 /)
    assert.deepEqual(await use(text), parameters)
    assert.deepEqual(Uint8Array.from(publicKeyOf(parameters)), publicKey)
  })

  it('comes back from its text, whatever its numbers are', () => {
    const property = fc.property(
      fc.uint8Array({ minLength: 576, maxLength: 576 }),
      fc.integer({ min: 0, max: 0xffff_ffff }),
      (bytes, n) => {
        const parameters = parametersOf(n, bytes)
        assert.deepEqual(parseParameters(formatLegacy(parameters)), parameters)
        assert.deepEqual(Uint8Array.from(publicKeyOf(parameters)), Uint8Array.from(bytes))
      },
    )
    fc.assert(property)
  })

  it('is not made of a public key of another length', () => {
    for (const length of [0, 575, 577]) {
      assert.throws(
        () => parametersOf(1, new Uint8Array(length)),
        (error: unknown) => error instanceof PermError && error.code === 'vault/malformed',
      )
    }
  })

  it('with any one bit of a point changed is refused for that point', async () => {
    const { publicKey } = await bb2.generate()
    const property = fc.asyncProperty(fc.nat(576 * 8 - 1), async (bit) => {
      const changed = Uint8Array.from(publicKey)
      changed[bit >> 3]! ^= 0x80 >> (bit & 7)
      const tag = ['g', 'X', 'Y'][Math.floor(bit / 512)] ?? 'v'
      await assert.rejects(bb2.check(bb2.parametersOf(1, changed)), (error: unknown) => {
        assert.ok(error instanceof PermError)
        assert.equal(error.message.split(' ')[0], tag)
        return true
      })
    })
    await fc.assert(property, { numRuns: 100 })
  })

  it('that is broken is refused when something is sealed under it, too', async () => {
    const { publicKey } = await bb2.generate()
    publicKey.set(publicKey.slice(0, 64), 64)
    publicKey[127]! ^= 1
    await assert.rejects(
      bb2.encapsulate(bb2.parametersOf(1, publicKey), 'alice'),
      (error: unknown) => error instanceof PermError && error.message.startsWith('X '),
    )
  })
})
