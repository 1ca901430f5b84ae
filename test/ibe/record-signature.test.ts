import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { loadBls12381 } from '../../lib/crypto/mcl.ts'
import { PermError } from '../../lib/errors.ts'
import {
  formatParameters,
  nameOf,
  parseParameters,
  type Parameters,
} from '../../lib/ibe/parameters.ts'
import { createRecordJobs, signedText, type RecordJobs } from '../../lib/ibe/record-signature.ts'
import { fromHex, readVectors, toHex } from '../support/vectors.ts'

interface Vector {
  readonly name: string
  readonly expect: 'good' | 'bad'
  readonly domain: string
  readonly record: string
  readonly public_key: string
  readonly signature: string
  readonly signer?: number
  readonly master_key?: string
  readonly published?: string
}

const { cases } = readVectors<{ cases: readonly Vector[] }>('record-signature')

function parse(text: string): Parameters {
  const parameters = parseParameters(text)
  assert.equal(parameters?.version, '2.0')
  return parameters
}

describe('the signature of a record', () => {
  let jobs: RecordJobs
  before(async () => {
    jobs = createRecordJobs(await loadBls12381())
  })

  for (const { name, expect, domain, record, public_key, signature, ...good } of cases) {
    it(`${name}: ${expect}`, () => {
      const text = signedText(domain, parse(record))
      const verified = jobs.verifyRecord({
        publicKey: fromHex(public_key),
        text,
        signature: fromHex(signature),
      })
      assert.equal(verified, expect === 'good')
      if (expect === 'bad') return
      const masterKey = fromHex(good.master_key!)
      assert.equal(toHex(jobs.signRecord({ masterKey, text })), signature)
      assert.ok(
        masterKey.every((byte) => byte === 0),
        'the key is wiped',
      )
      const published = parse(good.published!)
      assert.deepEqual(published.signatures, [{ n: good.signer, signature: fromHex(signature) }])
      assert.equal(signedText(domain, published), text, 'it signs all but signatures')
      assert.equal(nameOf(published), nameOf(parse(record)))
      assert.equal(formatParameters(published), good.published)
    })
  }

  it('with any one bit changed is bad', () => {
    const [{ domain, record, public_key, signature }] = cases as [Vector]
    const text = signedText(domain, parse(record))
    fc.assert(
      fc.property(fc.nat(48 * 8 - 1), (at) => {
        const changed = fromHex(signature)
        changed[at >> 3]! ^= 1 << (at & 7)
        const request = { publicKey: fromHex(public_key), text, signature: changed }
        assert.equal(jobs.verifyRecord(request), false)
      }),
      { numRuns: 60 },
    )
  })

  it('by a key that is no point is bad', () => {
    const [{ domain, record, signature }] = cases as [Vector]
    const text = signedText(domain, parse(record))
    for (const publicKey of [new Uint8Array(96), new Uint8Array(95), new Uint8Array(0)])
      assert.equal(jobs.verifyRecord({ publicKey, text, signature: fromHex(signature) }), false)
  })

  it('cannot be made with what is no master key', () => {
    assert.throws(
      () => jobs.signRecord({ masterKey: new Uint8Array(32), text: '' }),
      (error: unknown) => error instanceof PermError && error.code === 'vault/malformed',
    )
  })
})
