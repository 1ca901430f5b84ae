// The scheme a second time, on @noble/curves and from docs/formats.md alone: what the tests hold ours against, and
// what made test/vectors/ibe-bf.json.
import { createHash } from 'node:crypto'
import { bls12_381 } from '@noble/curves/bls12-381.js'

const { G1, G2, fields } = bls12_381
type Fp12 = ReturnType<typeof bls12_381.pairing>

const NOBLE_DST = 'HISHO-V2-BF-H1-BLS12381G1_XMD:SHA-256_SSWU_RO_'

export function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

export function noblePublicKey(masterKey: Uint8Array): Uint8Array {
  return G2.Point.BASE.multiply(toNumber(masterKey)).toBytes(true)
}

export function nobleHash(identity: string, dst = NOBLE_DST): InstanceType<typeof G1.Point> {
  const point = G1.hashToCurve(new TextEncoder().encode(identity), { DST: dst })
  return G1.Point.fromAffine(point.toAffine())
}

export function nobleExtract(masterKey: Uint8Array, identity: string): Uint8Array {
  return nobleHash(identity).multiply(toNumber(masterKey)).toBytes(true)
}

export interface NobleSealing {
  readonly publicKey: Uint8Array
  readonly identity: string
  readonly kek: Uint8Array
  readonly sigma: Uint8Array
}

export function nobleSeal({ publicKey, identity, kek, sigma }: NobleSealing): Uint8Array {
  const r = h3(sigma, kek)
  const shared = bls12_381.pairing(nobleHash(identity), G2.Point.fromBytes(publicKey))
  const u = G2.Point.BASE.multiply(r).toBytes(true)
  return Buffer.concat([u, xor(sigma, h2(fields.Fp12.pow(shared, r))), xor(kek, h4(sigma))])
}

/** Undefined where the check of U fails. Throws for what is no point. */
export function nobleOpen(
  identityKey: Uint8Array,
  encapsulation: Uint8Array,
): Uint8Array | undefined {
  const u = G2.Point.fromBytes(encapsulation.subarray(0, 96))
  const shared = bls12_381.pairing(G1.Point.fromBytes(identityKey), u)
  const sigma = xor(encapsulation.subarray(96, 128), h2(shared))
  const kek = xor(encapsulation.subarray(128), h4(sigma))
  return G2.Point.BASE.multiply(h3(sigma, kek)).equals(u) ? kek : undefined
}

/** Twelve coefficients of 48 bytes, the highest power first. */
export function nobleGtBytes(value: Fp12): Uint8Array {
  const fp6 = [value.c1, value.c0]
  const fp2 = fp6.flatMap((part) => [part.c2, part.c1, part.c0])
  const fp = fp2.flatMap((part) => [part.c1, part.c0])
  return Buffer.concat(fp.map((part) => Buffer.from(part.toString(16).padStart(96, '0'), 'hex')))
}

function h2(value: Fp12): Uint8Array {
  return sha256(Buffer.from('IBE-H2'), nobleGtBytes(value))
}

function h3(sigma: Uint8Array, kek: Uint8Array): bigint {
  const seed = sha256(Buffer.from('IBE-H3'), sigma, kek)
  for (let count = 1; count < 0xffff; count++) {
    const hash = sha256(Uint8Array.of(count & 0xff, count >> 8), seed)
    const shifted = toNumber(Uint8Array.of(hash[0]! >> 1, ...hash.subarray(1)))
    if (shifted < fields.Fr.ORDER) return shifted
  }
  throw new Error('no scalar')
}

function h4(sigma: Uint8Array): Uint8Array {
  return sha256(Buffer.from('IBE-H4'), sigma)
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

function xor(one: Uint8Array, other: Uint8Array): Uint8Array {
  return Uint8Array.from(one, (byte, at) => byte ^ other[at]!)
}
