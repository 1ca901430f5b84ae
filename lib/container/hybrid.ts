// The mlkem768x25519 recipient type, against quantum computers to come: c2sp.org/age, "The ML-KEM-768 + X25519 recipient type";
// X-Wing (draft-connolly-cfrg-xwing-kem), ML-KEM-768 (FIPS 203), HPKE (RFC 9180 section 5.1).
import { createHash, randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { ml_kem768 as mlKem } from '@noble/post-quantum/ml-kem.js'
import { hkdfExpand, hkdfExtract } from '../crypto/hkdf.ts'
import { ContainerError } from './container-error.ts'
import { agree, CURVE_KEY_BYTES, privateKeyOf, publicKeyOf } from './curve25519.ts'
import { decodeKey, encodeKey } from './key-text.ts'
import { openUnder, sealUnder, WRAP_KEY_BYTES } from './sealed-key.ts'
import { decodeArgument, encodeBase64, stanzasOfType } from './stanza.ts'
import type { Identity, Recipient } from './stanza.ts'

export const HYBRID_STANZA_TYPE = 'mlkem768x25519'
const RECIPIENT_PREFIX = 'age1pq'
const IDENTITY_PREFIX = 'age-secret-key-pq-'
const SEED_BYTES = 32
const MLKEM_SEED_BYTES = 64
const MLKEM_PUBLIC_BYTES = 1184
const MLKEM_NUMBERS_BYTES = 1152 // the rest is a seed
const Q = 3329
const MLKEM_CIPHERTEXT_BYTES = 1088

const XWING_LABEL = Buffer.from('5c2e2f2f5e5c', 'hex') // draft-connolly-cfrg-xwing-kem section 5.3
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** Takes `age1pq1...`. */
export function hybridRecipient(recipient: string): Recipient {
  const publicKey = decodeKey(recipient, RECIPIENT_PREFIX, MLKEM_PUBLIC_BYTES + CURVE_KEY_BYTES)
  const publicM = publicKey.subarray(0, MLKEM_PUBLIC_BYTES)
  const publicX = publicKey.subarray(MLKEM_PUBLIC_BYTES)
  checkModulus(publicM)
  return {
    async wrap(fileKey) {
      const { cipherText, sharedSecret } = mlKem.encapsulate(publicM)
      const ephemeral = privateKeyOf(new Uint8Array(randomBytes(CURVE_KEY_BYTES)))
      const shareX = publicKeyOf(ephemeral)
      const secret = combine(sharedSecret, agree(ephemeral, publicX), shareX, publicX)
      const { key, nonce } = hpkeKey(secret)
      const share = encodeBase64(Buffer.concat([cipherText, shareX]))
      return [{ type: HYBRID_STANZA_TYPE, args: [share], body: sealUnder(key, fileKey, nonce) }]
    },
  }
}

/** FIPS 203 section 7.2: every number, 12 bits each, is below q. The library reduces what is not. */
function checkModulus(publicKey: Uint8Array): void {
  for (let at = 0; at + 2 < MLKEM_NUMBERS_BYTES; at += 3) {
    const [first = 0, middle = 0, last = 0] = publicKey.subarray(at, at + 3)
    const low = first | ((middle & 0x0f) << 8)
    const high = (middle >> 4) | (last << 4)
    if (low >= Q || high >= Q) throw new ContainerError('key', 'this is no ML-KEM-768 key')
  }
}

/** Takes `AGE-SECRET-KEY-PQ-1...`. */
export function hybridIdentity(identity: string): Identity {
  const { secretM, privateX, publicX } = expand(decodeKey(identity, IDENTITY_PREFIX, SEED_BYTES))
  return {
    async unwrap(stanzas) {
      const size = MLKEM_CIPHERTEXT_BYTES + CURVE_KEY_BYTES
      const candidates = stanzasOfType(stanzas, HYBRID_STANZA_TYPE, 1).map(({ args, body }) => {
        return { share: decodeArgument(args[0] ?? '', size), body }
      })
      for (const { share, body } of candidates) {
        const shareM = share.subarray(0, MLKEM_CIPHERTEXT_BYTES)
        const shareX = share.subarray(MLKEM_CIPHERTEXT_BYTES)
        const sharedM = mlKem.decapsulate(shareM, secretM)
        const { key, nonce } = hpkeKey(combine(sharedM, agree(privateX, shareX), shareX, publicX))
        const fileKey = openUnder(key, body, nonce)
        if (fileKey !== undefined) return fileKey
        await setImmediate() // milliseconds each, and a header has room for many
      }
      return undefined
    },
  }
}

/** The `age1pq1...` that belongs to an `AGE-SECRET-KEY-PQ-1...`. */
export function hybridRecipientOf(identity: string): string {
  const { publicM, publicX } = expand(decodeKey(identity, IDENTITY_PREFIX, SEED_BYTES))
  return encodeKey(RECIPIENT_PREFIX, Buffer.concat([publicM, publicX]))
}

/** A secret, in the notation of age-keygen. */
export function generateHybridIdentity(): string {
  const seed = new Uint8Array(randomBytes(SEED_BYTES))
  const identity = encodeKey(IDENTITY_PREFIX, seed)
  seed.fill(0)
  return identity
}

/** draft-connolly-cfrg-xwing-kem section 5.2. Wipes the seed. */
function expand(seed: Uint8Array) {
  const size = MLKEM_SEED_BYTES + CURVE_KEY_BYTES
  const expanded = createHash('shake256', { outputLength: size }).update(seed).digest()
  seed.fill(0)
  const { publicKey, secretKey } = mlKem.keygen(expanded.subarray(0, MLKEM_SEED_BYTES))
  const privateX = privateKeyOf(expanded.subarray(MLKEM_SEED_BYTES))
  expanded.fill(0)
  return { publicM: publicKey, secretM: secretKey, privateX, publicX: publicKeyOf(privateX) }
}

/** draft-connolly-cfrg-xwing-kem section 5.3. Wipes both secrets. */
function combine(
  secretM: Uint8Array,
  secretX: Uint8Array,
  shareX: Uint8Array,
  publicX: Uint8Array,
): Uint8Array {
  const hash = createHash('sha3-256')
  for (const part of [secretM, secretX, shareX, publicX, XWING_LABEL]) hash.update(part)
  secretM.fill(0)
  secretX.fill(0)
  return hash.digest()
}

/** RFC 9180 section 7.1 and 7.2: KEM X-Wing, HKDF-SHA-256, ChaCha20-Poly1305. */
const SUITE_ID = Buffer.concat([text('HPKE'), Buffer.from('647a00010003', 'hex')])
const INFO = text('age-encryption.org/mlkem768x25519')
const NOTHING = new Uint8Array(0)

/** RFC 9180 section 5.1, mode_base, for the one message of sequence number 0. Wipes the secret. */
function hpkeKey(secret: Uint8Array): { readonly key: Uint8Array; readonly nonce: Uint8Array } {
  const context = Buffer.concat([
    Uint8Array.of(0),
    labeledExtract(NOTHING, 'psk_id_hash', NOTHING),
    labeledExtract(NOTHING, 'info_hash', INFO),
  ])
  const prk = labeledExtract(secret, 'secret', NOTHING)
  secret.fill(0)
  const key = labeledExpand(prk, 'key', context, WRAP_KEY_BYTES)
  const nonce = labeledExpand(prk, 'base_nonce', context, 12)
  prk.fill(0)
  return { key, nonce }
}

/** RFC 9180 section 4. */
function labeledExtract(salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array {
  return hkdfExtract(salt, Buffer.concat([text('HPKE-v1'), SUITE_ID, text(label), ikm]))
}

function labeledExpand(prk: Uint8Array, label: string, info: Uint8Array, size: number): Uint8Array {
  const length = Uint8Array.of(size >> 8, size & 0xff)
  return hkdfExpand(
    prk,
    Buffer.concat([length, text('HPKE-v1'), SUITE_ID, text(label), info]),
    size,
  )
}
