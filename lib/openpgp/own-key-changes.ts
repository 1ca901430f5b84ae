// Making, renewing, revoking and unlocking keys of our own. In the workers. RFC 9580 section 10.2.
import {
  decryptKey,
  enums,
  generateKey,
  readPrivateKey,
  reformatKey,
  revokeKey,
  type KeyOptions,
  type PrivateKey,
} from 'openpgp'
import { PermError } from '../errors.ts'
import { isBinary } from './certificates.ts'
import type { KeyType } from './key-types.ts'
import {
  LARGEST_KEYS_BYTES,
  MOST_ARGON2_LANES,
  MOST_ARGON2_MEMORY_EXPONENT,
  MOST_ARGON2_PASSES,
} from './limits.ts'

const OPTIONS: Readonly<Record<KeyType, Partial<KeyOptions>>> = {
  curve25519: { type: 'ecc', curve: 'curve25519Legacy' },
  rsa3072: { type: 'rsa', rsaBits: 3072 },
  rsa4096: { type: 'rsa', rsaBits: 4096 },
  v6: { type: 'curve25519', config: { v6Keys: true, aeadProtect: true } },
}

export async function generate(args: {
  type: KeyType
  name: string
  address: string
  expiresSeconds: number
}): Promise<Uint8Array> {
  const { privateKey } = await generateKey({
    ...OPTIONS[args.type],
    userIDs: { name: args.name, email: args.address },
    keyExpirationTime: args.expiresSeconds,
    format: 'binary',
  })
  return privateKey
}

/** The key stays, and so do its old signatures: who verifies what was signed before needs them. */
export async function renew(args: {
  secretKey: Uint8Array
  expiresSeconds: number
}): Promise<Uint8Array> {
  const key = await readOwn(args.secretKey)
  if (await key.isRevoked()) throw new PermError('openpgp/key', 'a revoked key is not renewed')
  const ageSeconds = Math.ceil((Date.now() - key.getCreationTime().getTime()) / 1000)
  const { privateKey } = await reformatKey({
    privateKey: await readPrivateKey({ binaryKey: key.write() }), // it is changed in place
    userIDs: key.users.flatMap(({ userID }) =>
      userID ? [{ name: userID.name, email: userID.email, comment: userID.comment }] : [],
    ),
    // RFC 9580 section 5.2.3.13: counted from the creation of the key.
    keyExpirationTime: args.expiresSeconds === 0 ? 0 : ageSeconds + args.expiresSeconds,
    format: 'object',
  })
  const renewed = await key.update(privateKey)
  // Of signatures of one and the same second the older would count.
  const times = await Promise.all([renewed, privateKey].map((one) => one.getExpirationTime()))
  return (Number(times[0]) === Number(times[1]) ? renewed : privateKey).write()
}

export async function revoke(args: {
  secretKey: Uint8Array
  reason: 'retired' | 'compromised'
}): Promise<Uint8Array> {
  const key = await readOwn(args.secretKey)
  const { privateKey } = await revokeKey({
    key,
    reasonForRevocation: {
      flag:
        args.reason === 'compromised'
          ? enums.reasonForRevocation.keyCompromised
          : enums.reasonForRevocation.keyRetired,
    },
    format: 'binary',
  })
  return privateKey
}

async function readOwn(secretKey: Uint8Array): Promise<PrivateKey> {
  try {
    return await readPrivateKey({ binaryKey: secretKey })
  } catch (cause) {
    throw new PermError('openpgp/key', 'the secret key cannot be read', { cause })
  }
}

export async function isLocked(args: { secretKey: Uint8Array }): Promise<boolean> {
  return !(await readGiven(args.secretKey)).isDecrypted()
}

export async function unlock(args: {
  secretKey: Uint8Array
  passphrase: string
}): Promise<Uint8Array> {
  const locked = await readGiven(args.secretKey)
  const key = locked.isDecrypted() ? locked : await withoutPassphrase(locked, args.passphrase)
  const opens = await key.getDecryptionKeys(undefined, null).catch(() => [])
  if (opens.length === 0) throw new PermError('openpgp/key', 'it has no key to decrypt with')
  return key.write()
}

/** As somebody has exported it: armored or binary. */
async function readGiven(bytes: Uint8Array): Promise<PrivateKey> {
  const none = new PermError('openpgp/key', 'it is not one OpenPGP secret key')
  if (bytes.length > LARGEST_KEYS_BYTES) throw none
  try {
    return await (isBinary(bytes)
      ? readPrivateKey({ binaryKey: bytes })
      : readPrivateKey({ armoredKey: Buffer.from(bytes).toString('latin1') }))
  } catch {
    throw none
  }
}

async function withoutPassphrase(locked: PrivateKey, passphrase: string): Promise<PrivateKey> {
  if (passphrase === '') throw new PermError('openpgp/key', 'it needs its passphrase')
  if (locked.getKeys().some(({ keyPacket }) => isTooDear(keyPacket)))
    throw new PermError('openpgp/key', 'its passphrase is made to cost more than we spend')
  return decryptKey({ privateKey: locked, passphrase }).catch(() => {
    throw new PermError('openpgp/key', 'the passphrase does not open it')
  })
}

/** RFC 9580 section 3.7.1.4; the others have a limit in their format. */
function isTooDear(packet: object): boolean {
  const s2k = 's2k' in packet ? packet.s2k : undefined
  if (typeof s2k !== 'object' || s2k === null || !('encodedM' in s2k)) return false
  const { encodedM, t, p } = s2k as Readonly<Record<'encodedM' | 't' | 'p', number>>
  return encodedM > MOST_ARGON2_MEMORY_EXPONENT || t > MOST_ARGON2_PASSES || p > MOST_ARGON2_LANES
}
