// The key generation centre: master key s, public key s*G2, identity key s*H1(identity).
import type { Bls12381, Scalar } from '../crypto/mcl.ts'
import type { PreparedCache } from '../crypto/prepared-cache.ts'
import { PermError } from '../errors.ts'
import { hashIdentity, IDENTITY_DST } from './boneh-franklin.ts'

/** A new master key: 32 bytes, big-endian, from 1 to the group's order less 1. Whoever holds it reads everything. */
export function generateMasterKey(curve: Bls12381): Uint8Array {
  const scalar = curve.randomScalar()
  const bytes = curve.formatScalar(scalar)
  scalar.clear()
  return bytes
}

/** The public key of a master key, 96 bytes. */
export function publicKey(curve: Bls12381, masterKey: Uint8Array): Uint8Array {
  const scalar = parseMasterKey(curve, masterKey)
  const bytes = curve.formatG2(curve.multiplyG2(curve.generatorG2, scalar))
  scalar.clear()
  return bytes
}

/** The identity key, 48 bytes: it opens what was sealed to this identity, and nothing else. */
export function extract(
  curve: Bls12381,
  masterKey: Uint8Array,
  identity: string,
  dst = IDENTITY_DST,
): Uint8Array {
  const scalar = parseMasterKey(curve, masterKey)
  const bytes = curve.formatG1(curve.multiplyG1(hashIdentity(curve, identity, dst), scalar))
  scalar.clear()
  return bytes
}

/** Whether these bytes are the identity key D under the master key of a public key P: e(D, G2) = e(H1(identity), P). */
export function isIdentityKey(
  curve: Bls12381,
  prepared: PreparedCache,
  { publicKey, identity, dst, identityKey }: IdentityKeyQuestion,
): boolean {
  const key = curve.parseG1(identityKey)
  const lines = prepared.get(publicKey)
  if (key === undefined || lines === undefined) return false
  const one = curve.formatGt(curve.pairing(key, curve.generatorG2))
  const other = curve.formatGt(curve.pairingPrepared(hashIdentity(curve, identity, dst), lines))
  return Buffer.from(one).equals(other)
}

export interface IdentityKeyQuestion {
  readonly publicKey: Uint8Array
  readonly identity: string
  /** The scheme's tag of H1. */
  readonly dst: string
  readonly identityKey: Uint8Array
}

/** PermError vault/malformed for what is no master key. The caller clears it. */
export function parseMasterKey(curve: Bls12381, masterKey: Uint8Array): Scalar {
  const scalar = curve.parseScalar(masterKey)
  if (scalar === undefined)
    throw new PermError('vault/malformed', 'master key: not a scalar of BLS12-381')
  return scalar
}
