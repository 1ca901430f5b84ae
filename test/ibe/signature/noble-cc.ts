// The scheme a second time, on @noble/curves and from docs/formats.md alone: what the tests hold ours against, and
// what made test/vectors/ibe-cc.json.
import { hash_to_field } from '@noble/curves/abstract/hash-to-curve.js'
import { bls12_381 } from '@noble/curves/bls12-381.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { nobleHash, toNumber } from '../noble-bf.ts'

const { G1, G2, fields } = bls12_381
const H1_DST = 'HISHO-V2-CC-H1-BLS12381G1_XMD:SHA-256_SSWU_RO_'
const H_DST = 'HISHO-V2-CC-H-BLS12381FR_XMD:SHA-256_'
const R_DST = 'HISHO-V2-CC-R-BLS12381FR_XMD:SHA-256_'

function nobleScalar(message: Uint8Array, dst: string): bigint {
  const options = { p: fields.Fr.ORDER, m: 1, k: 128, expand: 'xmd', hash: sha256 } as const
  return hash_to_field(message, 1, { ...options, DST: new TextEncoder().encode(dst) })[0]![0]!
}

export function nobleSignerKey(masterKey: Uint8Array, identity: string): Uint8Array {
  return nobleHash(identity, H1_DST).multiply(toNumber(masterKey)).toBytes(true)
}

export function nobleSign(
  identityKey: Uint8Array,
  identity: string,
  digest: Uint8Array,
  seed: Uint8Array,
): Uint8Array {
  const r = nobleScalar(Buffer.concat([seed, identityKey, digest]), R_DST)
  const u = nobleHash(identity, H1_DST).multiply(r).toBytes(true)
  const h = nobleScalar(Buffer.concat([u, digest]), H_DST)
  const v = G1.Point.fromBytes(identityKey).multiply(fields.Fr.add(r, h))
  return Buffer.concat([u, v.toBytes(true)])
}

/** e(V, G2) = e(U + h*Q, P), each pairing by itself. */
export function nobleVerify(
  publicKey: Uint8Array,
  identity: string,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  const [u, v] = [nobleG1(signature.subarray(0, 48)), nobleG1(signature.subarray(48))]
  if (u === undefined || v === undefined) return false
  const h = nobleScalar(Buffer.concat([signature.subarray(0, 48), digest]), H_DST)
  const sum = u.add(nobleHash(identity, H1_DST).multiply(h))
  if (sum.is0()) return false
  const left = bls12_381.pairing(v, G2.Point.BASE)
  const right = bls12_381.pairing(sum, G2.Point.fromBytes(publicKey))
  return fields.Fp12.eql(left, right)
}

function nobleG1(bytes: Uint8Array): InstanceType<typeof G1.Point> | undefined {
  try {
    const point = G1.Point.fromBytes(bytes)
    point.assertValidity()
    return point.is0() ? undefined : point
  } catch {
    return undefined
  }
}
