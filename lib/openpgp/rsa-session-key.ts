// A session key sealed with RSA: PKCS #1 v1.5, RFC 9580 sections 5.1.3 and 12.1. The library undoes it in JavaScript, three
// times for each packet; Node's RSA takes a hundredth of that. A bad padding gives a wrong key, and nothing tells which it was.
import {
  constants,
  createHmac,
  createPrivateKey,
  privateDecrypt,
  type KeyObject,
} from 'node:crypto'
import { enums, type DecryptedSessionKey } from 'openpgp'
import { cipherOf, type Cipher } from './library.ts'

/** The numbers of a secret key, RFC 9580 sections 5.5.5.1.1. */
export interface RsaNumbers {
  readonly n: Uint8Array
  readonly e: Uint8Array
  readonly d: Uint8Array
  readonly p: Uint8Array
  readonly q: Uint8Array
  /** Of p, modulo q. */
  readonly u: Uint8Array
}

const KEY_SIZES = [16, 24, 32] as const
const REJECTED_SIZE = 32

/** In octets: RFC 9580 section 9.3. */
const SIZE_OF: Readonly<Record<Cipher, number>> = {
  aes256: 32,
  aes192: 24,
  aes128: 16,
  tripledes: 24,
  cast5: 16,
  blowfish: 16,
}

/** RFC 9580 section 5.1: of version 3 the session key names its cipher, of version 6 the data does. */
export function rsaSessionKey(
  key: KeyObject,
  { encrypted, version }: { readonly encrypted: Uint8Array; readonly version: 3 | 6 },
  ciphers: readonly Cipher[],
): DecryptedSessionKey {
  const rejected = createHmac('sha256', key.export({ format: 'der', type: 'pkcs1' }))
    .update(encrypted)
    .digest()
  const block = rawDecrypt(key, encrypted)
  const found = Uint8Array.from(rejected)
  let size = REJECTED_SIZE
  let number: number = enums.symmetric.aes256
  const prefix = version === 3 ? 1 : 0
  for (const length of KEY_SIZES) {
    const start = block.length - length - 2
    const cipher = block[start - 1] ?? 0
    const fits = version === 3 ? isZero(sizeFor(cipher, ciphers) ^ length) : 1
    const mask = -(hasPadding(block, length + prefix + 2) & hasChecksum(block, length) & fits)
    for (let at = 0; at < length; at++)
      found[at] = (block[start + at]! & mask) | (found[at]! & ~mask)
    size = (length & mask) | (size & ~mask)
    number = (cipher & mask) | (number & ~mask)
  }
  block.fill(0)
  const algorithm = version === 3 ? (cipherOf(number) ?? 'aes256') : null
  return { data: found.slice(0, size), algorithm }
}

export function rsaKeyOf({ n, e, d, p, q, u }: RsaNumbers): KeyObject {
  const [exponent, first, second] = [d, p, q].map((bytes) => BigInt(`0x${hex(bytes)}`))
  const remainder = (prime: bigint): Uint8Array => {
    const text = (exponent! % (prime - 1n)).toString(16)
    return Buffer.from(text.padStart(text.length + (text.length % 2), '0'), 'hex')
  }
  // RFC 8017 section 3.2 has the inverse of the second prime modulo the first: the primes change places.
  const parts = { n, e, d, p: q, q: p, dp: remainder(second!), dq: remainder(first!), qi: u }
  const texts = Object.entries(parts).map(([name, bytes]) => [name, base64url(bytes)])
  return createPrivateKey({
    key: { kty: 'RSA', ...Object.fromEntries(texts) },
    format: 'jwk',
  })
}

/** Of what is no number of this key's, which anybody with the public key can see: zeros. */
function rawDecrypt(key: KeyObject, encrypted: Uint8Array): Uint8Array {
  const bytes = Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
  const input = Buffer.alloc(bytes)
  input.set(encrypted.subarray(-bytes), Math.max(0, bytes - encrypted.length))
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, input)
  } catch {
    return new Uint8Array(bytes)
  }
}

/** RFC 8017 section 7.2.2, for a message of known length: 1 if `block` is 0, 2, at least 8 octets that are not 0, 0, the message. */
function hasPadding(block: Uint8Array, length: number): number {
  const end = block.length - length - 1
  if (end < 10) return 0 // lengths are no secret
  let bad = block[0]! | (block[1]! ^ 2) | block[end]!
  for (let at = 2; at < end; at++) bad |= isZero(block[at]!)
  return isZero(bad)
}

/** RFC 9580 section 5.1.3: the sum of the key's octets, modulo 65536, behind it. */
function hasChecksum(block: Uint8Array, length: number): number {
  const start = block.length - length - 2
  let sum = 0
  for (let at = start; at < start + length; at++) sum += block[at]!
  const [high = 0, low = 0] = block.subarray(-2)
  return isZero((sum & 0xffff) ^ ((high << 8) | low))
}

function sizeFor(number: number, ciphers: readonly Cipher[]): number {
  let size = 0
  for (const name of ciphers) size |= -isZero(enums.symmetric[name] ^ number) & SIZE_OF[name]
  return size
}

/** 1 for 0, 0 for all others up to 2^31. */
function isZero(value: number): number {
  return ((value - 1) >>> 31) & 1
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
