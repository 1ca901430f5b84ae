// What signing and verifying cost, against the curve operations that the formulas need, measured in the same run.
import { randomBytes } from 'node:crypto'
import { hashToG1 } from '../lib/crypto/hash-to-curve.ts'
import { loadBls12381 } from '../lib/crypto/mcl.ts'
import { SecretBytes } from '../lib/crypto/secret-bytes.ts'
import { createIbePool } from '../lib/ibe/ibe.ts'
import { SIGNER_DST } from '../lib/ibe/signature/cha-cheon.ts'
import { createSignatureEngine, type VerifyRequest } from '../lib/ibe/signature/engine.ts'
import { medians, RUNS, WARM_UP_RUNS } from './medians.ts'
import type { Row } from './report.ts'

const RATIO_TARGET = { most: 1.5 }
const BATCHES = [1, 8, 32] as const
const IDENTITY = 'alice@a.example#2026-11'

export async function benchSignature(): Promise<Row[]> {
  const curve = await loadBls12381()
  const pool = createIbePool({ size: 1, queueLimit: 1000 })
  const engine = createSignatureEngine({ pool, batchLimit: Math.max(...BATCHES) })

  const newDomain = async () => {
    const masterKey = await pool.run('generateMasterKey', undefined)
    return { masterKey, publicKey: await pool.run('publicKey', { masterKey }) }
  }
  type Domain = Awaited<ReturnType<typeof newDomain>>
  const keyOf = async ({ masterKey }: Domain, identity: string): Promise<SecretBytes> =>
    new SecretBytes(await pool.run('extract', { masterKey, identity, dst: SIGNER_DST }))
  const signed = async (domain: Domain, identity: string): Promise<VerifyRequest> => {
    const identityKey = await keyOf(domain, identity)
    const digest = randomBytes(32)
    const signature = await engine.sign({ identityKey, identity, digest })
    return { publicKey: domain.publicKey, identity, digest, signature }
  }
  const several = <T>(make: (at: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: RUNS + WARM_UP_RUNS }, (_, at) => make(at)))

  const domain = await newDomain()
  const identityKey = await keyOf(domain, IDENTITY)
  const digest = randomBytes(32)
  const known = await signed(domain, IDENTITY)
  // A worker knows the last 1,024 who signed: those who are to be new to it are verified under names it has not seen.
  const stranger = (request: VerifyRequest, at: number): VerifyRequest => ({
    ...request,
    identity: `${request.identity}-${at}`,
  })
  const newSigners = await several(async (at) => stranger(known, at))
  const newDomains = await several(async (at) =>
    stranger(await signed(await newDomain(), IDENTITY), at),
  )
  const newNames = await several(async (at) => `new${at}@a.example`)
  const batches = BATCHES.map((size) => Array.from({ length: size }, () => known))

  const point = curve.parseG2(domain.publicKey)!
  const [lines, generator] = [curve.prepareG2(point), curve.prepareG2(curve.generatorG2)]
  const q = hashToG1(curve, randomBytes(20), 'BENCH')
  const scalar = curve.randomScalar()
  const weight = curve.scalarFromNumber(randomBytes(16))
  const u = known.signature.subarray(0, 48)
  const sums = (size: number): void => {
    const points = Array.from({ length: size }, () => q)
    const weights = points.map(() => weight)
    curve.sumOfProductsG1(points, weights)
    curve.sumOfProductsG1([...points, ...points], [...weights, ...points.map(() => scalar)])
  }
  const verifyBatch = (requests: readonly VerifyRequest[]): Promise<unknown> =>
    pool.run('verify', {
      publicKey: domain.publicKey,
      identities: requests.map(({ identity }) => identity),
      digests: Buffer.concat(requests.map((request) => request.digest)),
      signatures: Buffer.concat(requests.map(({ signature }) => signature)),
    })

  const ms = await medians({
    hash: () => hashToG1(curve, randomBytes(20), 'BENCH'),
    multiply: () => curve.multiplyG1(q, scalar),
    parse: () => curve.parseG1(u),
    parseG2: () => curve.parseG2(domain.publicKey),
    prepare: () => curve.release(curve.prepareG2(point)),
    pairings: () => curve.pairingsAreEqual(q, generator, q, lines),
    sums8: () => sums(8),
    sums32: () => sums(32),
    sign: () => engine.sign({ identityKey, identity: IDENTITY, digest }),
    signNew: () => engine.sign({ identityKey, identity: newNames.pop()!, digest }),
    verify: () => engine.verify(known),
    verifyNew: () => engine.verify(newSigners.pop()!),
    verifyNewDomain: () => engine.verify(newDomains.pop()!),
    batch1: () => verifyBatch(batches[0]!),
    batch8: () => verifyBatch(batches[1]!),
    batch32: () => verifyBatch(batches[2]!),
  })
  await pool.close()
  for (const prepared of [lines, generator]) curve.release(prepared)

  const signSum = ms.parse + 2 * ms.multiply
  const verifySum = 2 * ms.parse + ms.multiply + ms.pairings
  const newSum = verifySum + ms.hash
  const plain = (name: string, value: number): Row => ({ name, value, unit: 'ms' })
  const against = (name: string, value: number, bare: number): Row => ({
    ...plain(name, value),
    ratio: value / bare,
    target: RATIO_TARGET,
  })
  const batchSum = (size: number, products: number): number =>
    2 * size * ms.parse + products + ms.pairings
  return [
    plain('two pairings compared, prepared', ms.pairings),
    plain('sign: read a point, G1 twice', signSum),
    against('sign', ms.sign, signSum),
    against('sign, signer not seen before', ms.signNew, signSum + ms.hash),
    plain('verify: read two points, G1, two pairings', verifySum),
    against('verify', ms.verify, verifySum),
    against('verify, signer not seen before', ms.verifyNew, newSum),
    against('verify, domain not seen before', ms.verifyNewDomain, newSum + ms.parseG2 + ms.prepare),
    against('verify, batch of 1', ms.batch1, verifySum),
    against('verify, batch of 8', ms.batch8, batchSum(8, ms.sums8)),
    against('verify, batch of 32', ms.batch32, batchSum(32, ms.sums32)),
    plain('verify, each of a batch of 32', ms.batch32 / 32),
  ]
}
