import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { WorkerPool } from '../../../lib/crypto/pool.ts'
import { SecretBytes } from '../../../lib/crypto/secret-bytes.ts'
import { createIbePool } from '../../../lib/ibe/ibe.ts'
import type { IbeJobs } from '../../../lib/ibe/jobs.ts'
import { SIGNER_DST } from '../../../lib/ibe/signature/cha-cheon.ts'
import {
  createSignatureEngine,
  type SignatureEngine,
  type VerifyRequest,
} from '../../../lib/ibe/signature/engine.ts'
import type { VerifyArgs } from '../../../lib/ibe/signature/jobs.ts'

interface Domain {
  readonly masterKey: Uint8Array
  readonly publicKey: Uint8Array
}

describe('the engine of signatures', () => {
  let pool: WorkerPool<IbeJobs>
  let a: Domain
  let b: Domain
  /** How many signatures each check had. */
  let batches: number[]
  let engine: SignatureEngine

  const newDomain = async (): Promise<Domain> => {
    const masterKey = await pool.run('generateMasterKey', undefined)
    return { masterKey, publicKey: await pool.run('publicKey', { masterKey }) }
  }
  const watchedEngine = (batchLimit?: number): SignatureEngine =>
    createSignatureEngine({
      pool: {
        run: (name, args) => {
          if (name === 'verify') batches.push((args as VerifyArgs).identities.length)
          return pool.run(name, args)
        },
      },
      ...(batchLimit === undefined ? {} : { batchLimit }),
    })
  const signWith = async (domain: Domain, identity: string): Promise<VerifyRequest> => {
    const { masterKey, publicKey } = domain
    const key = await pool.run('extract', { masterKey, identity, dst: SIGNER_DST })
    const identityKey = new SecretBytes(key)
    const digest = randomBytes(32)
    const signature = await engine.sign({ identityKey, identity, digest })
    assert.equal(identityKey.wiped, false, 'the key stays the caller’s')
    identityKey.wipe()
    return { publicKey, identity, digest, signature }
  }
  const signMany = (domain: Domain, count: number): Promise<VerifyRequest[]> =>
    Promise.all(Array.from({ length: count }, (_, at) => signWith(domain, `u${at % 7}@a.example`)))
  const verifyAll = (requests: readonly VerifyRequest[]): Promise<boolean[]> =>
    Promise.all(requests.map((request) => engine.verify(request)))

  before(async () => {
    pool = createIbePool({ size: 2, queueLimit: 1000 })
    batches = []
    engine = watchedEngine()
    ;[a, b] = await Promise.all([newDomain(), newDomain()])
  })
  after(() => pool.close())

  it('verifies what it signs, one after the other', async () => {
    for (const request of await signMany(a, 3)) assert.equal(await engine.verify(request), true)
  })

  it('checks together what arrives while a check runs, in bounded batches', async () => {
    const requests = await signMany(a, 50)
    batches = []
    assert.ok((await verifyAll(requests)).every((good) => good))
    assert.equal(
      batches.reduce((sum, size) => sum + size, 0),
      50,
    )
    assert.equal(batches[0], 1, 'the first does not wait')
    assert.ok(batches.length <= 8, batches.join(' '))
    assert.ok(Math.max(...batches) <= 16, batches.join(' '))
  })

  it('one bad signature harms no other, at whatever place', async () => {
    const requests = await signMany(a, 8)
    for (const [place, request] of requests.entries()) {
      const bad = { ...request, digest: randomBytes(32) }
      const results = await verifyAll(requests.with(place, bad))
      assert.deepEqual(
        results,
        requests.map((_, at) => at !== place),
      )
    }
  })

  it('keeps public keys apart', async () => {
    const ours = await signMany(a, 4)
    const theirs = await signMany(b, 4)
    const crossed = ours.map((request) => ({ ...request, publicKey: b.publicKey }))
    const results = await verifyAll([...ours, ...crossed, ...theirs])
    assert.deepEqual(
      results,
      results.map((_, at) => at < 4 || at >= 8),
    )
  })

  it('a public key that is no point fails those who named it, and nobody else', async () => {
    const [good] = await signMany(a, 1)
    const broken = { ...good!, publicKey: new Uint8Array(96) }
    const [one, two, three] = await Promise.allSettled([
      engine.verify(broken),
      engine.verify(good!),
      engine.verify(broken),
    ])
    assert.equal(one.status === 'rejected' && one.reason.code, 'ibe/parameters')
    assert.deepEqual(two, { status: 'fulfilled', value: true })
    assert.equal(three.status === 'rejected' && three.reason.code, 'ibe/parameters')
    assert.equal(await engine.verify(good!), true)
  })

  it('a signature of another length does not verify, and takes no part in a check', async () => {
    const [good] = await signMany(a, 1)
    batches = []
    for (const length of [0, 1, 95, 97, 192])
      assert.equal(await engine.verify({ ...good!, signature: new Uint8Array(length) }), false)
    assert.deepEqual(batches, [])
  })

  it('a digest of another length is a mistake of the caller', async () => {
    const [good] = await signMany(a, 1)
    const digest = new Uint8Array(31)
    await assert.rejects(engine.verify({ ...good!, digest }), RangeError)
    const identityKey = new SecretBytes(new Uint8Array(48))
    await assert.rejects(engine.sign({ identityKey, identity: 'a@a.example', digest }), RangeError)
  })

  it('where the threads are busy each waiting check fails for now, and the next one works', async () => {
    const requests = await signMany(a, 40)
    const small = createIbePool({ size: 1, queueLimit: 1 })
    const narrow = createSignatureEngine({ pool: small, batchLimit: 4 })
    const results = await Promise.allSettled(requests.map((request) => narrow.verify(request)))
    const refused = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason.code] : [],
    )
    assert.ok(refused.length > 0 && refused.length < 40)
    assert.deepEqual([...new Set(refused)], ['crypto/busy'])
    assert.equal(await narrow.verify(requests[0]!), true)
    await small.close()
  })
})
