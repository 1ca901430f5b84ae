// What a certificate says, and whether it can be sealed for. In the workers. RFC 9580 section 10.1.
import { readKeys as parseKeys, type Key, type Subkey } from 'openpgp'
import { PermError } from '../errors.ts'
import {
  LARGEST_KEYS_BYTES,
  LEAST_RSA_BITS,
  MOST_KEYS,
  MOST_RSA_BITS,
  MOST_USER_IDS,
} from './limits.ts'
import type { ParsedKeys } from './parsed-keys.ts'

export interface CertificateFacts {
  readonly fingerprint: string
  /** Binary, without any secret. */
  readonly certificate: Uint8Array
  /** Of the user IDs that the key itself has signed, as written. */
  readonly addresses: readonly string[]
  readonly algorithm: string
  /** ISO 8601, UTC. */
  readonly created: string
  readonly expires?: string
  readonly isRevoked: boolean
}

export async function readKeys({ keys }: { keys: Uint8Array }): Promise<CertificateFacts[]> {
  const parsed = await parse(keys)
  return Promise.all(parsed.map(factsOf))
}

export async function parse(keys: Uint8Array): Promise<Key[]> {
  if (keys.length === 0) return []
  if (keys.length > LARGEST_KEYS_BYTES) throw unreadable()
  try {
    const found = await (isBinary(keys)
      ? parseKeys({ binaryKeys: keys })
      : parseKeys({ armoredKeys: Buffer.from(keys).toString('latin1') }))
    if (found.length <= MOST_KEYS) return found.filter((key) => !isOversized(key))
  } catch {}
  throw unreadable()
}

/** RFC 9580 section 4.2: a packet begins so, and no letter of armor. */
export function isBinary(keys: Uint8Array): boolean {
  return ((keys[0] ?? 0) & 0x80) !== 0
}

async function factsOf(key: Key): Promise<CertificateFacts> {
  const expires = await key.getExpirationTime().catch(() => null)
  const { algorithm, bits, curve } = key.getAlgorithmInfo()
  return {
    fingerprint: key.getFingerprint(),
    certificate: key.toPublic().write(),
    addresses: await addressesOf(key),
    algorithm: curve ?? `${algorithm.replace(/^rsa.*/, 'rsa')}${bits ?? ''}`,
    created: key.getCreationTime().toISOString(),
    ...(expires instanceof Date && { expires: expires.toISOString() }),
    isRevoked: await key.isRevoked(),
  }
}

async function addressesOf(key: Key): Promise<string[]> {
  const found = new Set<string>()
  for (const user of key.users.slice(0, MOST_USER_IDS)) {
    const address = user.userID?.email || bareAddress(user.userID?.userID ?? '')
    if (address && (await isBound(user))) found.add(address)
  }
  return [...found]
}

/** A user ID that is an address and nothing else, as many programs write for WKD. */
function bareAddress(text: string): string | undefined {
  return /^[^\s<>@]+@[^\s<>@]+$/.test(text) ? text : undefined
}

function isBound(user: Key['users'][number]): Promise<boolean> {
  return user.verify().catch(() => false)
}

interface CertificatesArgs {
  readonly certificates: readonly Uint8Array[]
}

/** Of the one certificate in these. */
export async function problemWith(
  { certificates }: CertificatesArgs,
  parsed: ParsedKeys,
): Promise<string | undefined> {
  const [key, ...more] = await parsed.certificates(certificates)
  if (key && more.length === 0) return problemOf(key)
  throw unreadable()
}

/** undefined: it has a valid key to encrypt with, and that is strong enough. */
export async function problemOf(key: Key): Promise<string | undefined> {
  if (await key.isRevoked()) return 'it is revoked'
  try {
    await key.verifyPrimaryKey()
    const primary = strengthProblem(key)
    return primary ?? strengthProblem(await key.getEncryptionKey())
  } catch {
    const expires = await key.getExpirationTime().catch(() => null)
    if (expires instanceof Date && expires.getTime() <= Date.now()) return 'it has expired'
    return 'it has no valid key to encrypt with'
  }
}

function strengthProblem(key: Key | Subkey): string | undefined {
  const { algorithm, bits = 0 } = key.getAlgorithmInfo()
  if (!algorithm.startsWith('rsa')) return undefined
  return bits < LEAST_RSA_BITS ? `RSA of ${bits} bits is too weak` : undefined
}

/** Not to be computed with, whoever has sent it: nothing of it is looked at, not even its own signatures. */
function isOversized(key: Key): boolean {
  return key.getKeys().some((one) => (one.getAlgorithmInfo().bits ?? 0) > MOST_RSA_BITS)
}

function unreadable(): PermError {
  return new PermError('openpgp/key', 'not OpenPGP keys, or too many or too large ones')
}
