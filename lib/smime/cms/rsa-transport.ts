// A content key sealed with RSA: PKCS #1 v1.5 and OAEP, RFC 8017 section 7, RFC 3560. Both are undone by us, on the bare RSA
// operation, so that a bad padding is not to be told from a wrong key: implicit rejection, as RFC 3218 section 2.3 asks.
import {
  constants,
  createHash,
  createHmac,
  privateDecrypt,
  publicEncrypt,
  type KeyObject,
} from 'node:crypto'
import type { Hash } from './algorithm.ts'

export interface Oaep {
  readonly hash: Hash
  readonly maskHash: Hash
}

export interface TransportOptions {
  readonly privateKey: KeyObject
  /** For the key of what has the wrong padding: any secret that belongs to the private key. */
  readonly rejectionSecret: Uint8Array
  readonly encryptedKey: Uint8Array
  /** How long the content key must be; every other length is a bad padding. */
  readonly keyBytes: number
  /** undefined: PKCS #1 v1.5. */
  readonly oaep: Oaep | undefined
}

/**
 * The content key, or, where the padding is bad, one that nobody can foretell and that is the same each time. Which of them
 * it is, nothing tells: neither result nor time, beyond what a branch-free loop in JavaScript can promise.
 */
export function openTransportedKey(options: TransportOptions): Uint8Array {
  const { privateKey, rejectionSecret, encryptedKey, keyBytes, oaep } = options
  const rejected = createHmac('sha256', rejectionSecret).update(encryptedKey).digest()
  const block = rawDecrypt(privateKey, encryptedKey)
  const undo = (found: Uint8Array): number =>
    oaep ? undoOaep(found, keyBytes, oaep) : undoPkcs1(found, keyBytes)
  const key = new Uint8Array(keyBytes)
  const mask = -(block ? undo(block) : 0) // all ones, or zero
  const start = (block?.length ?? 0) - keyBytes
  for (let at = 0; at < keyBytes; at++) {
    const found = block?.[start + at] ?? 0
    key[at] = (found & mask) | ((rejected[at] ?? 0) & ~mask)
  }
  block?.fill(0)
  rejected.fill(0)
  return key
}

/** undefined: a number that is none of this key's, as anybody with the public key can see. */
function rawDecrypt(privateKey: KeyObject, encryptedKey: Uint8Array): Uint8Array | undefined {
  const bytes = Math.ceil((privateKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
  if (encryptedKey.length !== bytes) return undefined
  try {
    return privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, encryptedKey)
  } catch {
    return undefined
  }
}

/** RFC 8017 section 7.2.2, for a message whose length is known: 1 if `block` is 0, 2, octets that are not 0, 0, the key. */
function undoPkcs1(block: Uint8Array, keyBytes: number): number {
  const end = block.length - keyBytes - 1
  if (end < 10) return 0 // lengths are no secret
  let bad = block[0]! | (block[1]! ^ 2) | block[end]!
  for (let at = 2; at < end; at++) bad |= isZero(block[at]!)
  return isZero(bad)
}

/**
 * RFC 8017 section 7.1.2, with an empty label, for a message whose length is known: 1 if `block` has the padding. The key
 * stands unmasked at its end then.
 */
function undoOaep(block: Uint8Array, keyBytes: number, { hash, maskHash }: Oaep): number {
  const labelHash = createHash(hash).digest()
  const start = 1 + labelHash.length
  const separator = block.length - keyBytes - 1
  if (separator < start + labelHash.length) return 0
  const seed = block.subarray(1, start)
  const data = block.subarray(start)
  unmask(seed, data, maskHash)
  unmask(data, seed, maskHash)
  let bad = block[0]! | (block[separator]! ^ 1)
  for (let at = 0; at < labelHash.length; at++) bad |= data[at]! ^ labelHash[at]!
  for (let at = start + labelHash.length; at < separator; at++) bad |= block[at]!
  return isZero(bad)
}

/** RFC 8017 appendix B.2.1 (MGF1), onto the target. */
function unmask(target: Uint8Array, seed: Uint8Array, hash: Hash): void {
  const counter = new DataView(new ArrayBuffer(4))
  for (let at = 0, index = 0; at < target.length; index++) {
    counter.setUint32(0, index)
    const block = createHash(hash).update(seed).update(counter).digest()
    for (let from = 0; from < block.length && at < target.length; from++, at++)
      target[at]! ^= block[from]!
  }
}

/** 1 for 0, and 0 for 1 to 255, without a branch. */
function isZero(octet: number): number {
  return ((octet - 1) >> 31) & 1
}

export function sealTransportedKey(
  publicKey: KeyObject,
  key: Uint8Array,
  oaepHash: Hash | undefined,
): Uint8Array {
  return publicEncrypt(
    oaepHash
      ? { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }
      : { key: publicKey, padding: constants.RSA_PKCS1_PADDING },
    key,
  )
}
