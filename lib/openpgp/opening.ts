// Opening a message with keys of ours. In the workers. All that can go wrong has one outcome, so that nobody learns from it.
import { createHash, type KeyObject } from 'node:crypto'
import {
  decryptSessionKeys,
  enums,
  Message,
  PacketList,
  PublicKeyEncryptedSessionKeyPacket,
  readMessage,
  type AnyKeyPacket,
  type DecryptedSessionKey,
  type KeyID,
  type PrivateKey,
} from 'openpgp'
import { PermError } from '../errors.ts'
import { LARGE_BYTES, keepOnly } from '../mail/large-bytes.ts'
import { contentsOf, readData, type Data } from './contents.ts'
import { STRONG_CIPHERS, WEAK_CIPHERS, type Cipher } from './library.ts'
import { MOST_HIDDEN_TRIES, MOST_NAMED_TRIES } from './limits.ts'
import { findData } from './packets.ts'
import type { ParsedKeys } from './parsed-keys.ts'
import { rsaKeyOf, rsaSessionKey, type RsaNumbers } from './rsa-session-key.ts'
import { digestsOf } from './signatures.ts'

export interface Opened {
  readonly content: Uint8Array
  /** Of our keys for which the message is sealed: their fingerprints. */
  readonly openers: readonly string[]
  /** Such as aes256. */
  readonly cipher: string
  readonly isWeak: boolean
  /** Names the session key, in hexadecimal. */
  readonly sealedKeyId: string
  /** The packets, one after the other; those over the limit are left out, and the message then counts as unsigned. */
  readonly signatures: Uint8Array
  /** Of large content: what each of them is over. */
  readonly digests: readonly Uint8Array[]
}

interface OpenArgs {
  /** Overwritten, if it is large. */
  readonly message: Uint8Array
  readonly secretKeys: readonly Uint8Array[]
  readonly weakCiphers: 'open' | 'refuse'
}

export async function open(args: OpenArgs, parsed: ParsedKeys): Promise<Opened> {
  const { message, secretKeys, weakCiphers } = args
  try {
    const dataAt = findData(message)
    const keys = await parsed.secretKeys(secretKeys)
    const ciphers = [...STRONG_CIPHERS, ...(weakCiphers === 'open' ? WEAK_CIPHERS : [])]
    const sessionKeys = await readMessage({
      binaryMessage: message.subarray(0, dataAt),
      config: { enforceGrammar: false }, // keys alone are no message
    })
    const data = readData(message.subarray(dataAt))
    return await openWith(attempts(sealedKeys(sessionKeys), keys), data, ciphers)
  } catch (cause) {
    // The cause is not told: it would not cross to the other thread either.
    throw new PermError('openpgp/decrypt', 'the message does not open', { cause })
  }
}

async function openWith(
  tries: Iterable<Attempt>,
  data: Data,
  ciphers: readonly Cipher[],
): Promise<Opened> {
  let opened: Omit<Opened, 'openers'> | undefined
  let sessionKey: Uint8Array | undefined
  const openers = new Set<string>()
  for (const { sealed, key } of tries) {
    const fingerprint = key.getFingerprint()
    if (openers.has(fingerprint)) continue
    for (const candidate of await sessionKeysOf(sealed, key, ciphers)) {
      if (!opened) {
        opened = await contentOf(data, candidate, ciphers)
        if (!opened) continue
        sessionKey = candidate.data
      }
      // Whoever has the same session key was meant too: a packet that only names a key of ours proves nothing.
      if (sessionKey && Buffer.compare(candidate.data, sessionKey) === 0) openers.add(fingerprint)
    }
  }
  if (!opened) throw new Error('no session key opens it')
  return { ...opened, openers: [...openers] }
}

interface SealedSessionKey {
  readonly keyId: KeyID
  readonly bytes: Uint8Array
}

function sealedKeys(message: Message<Uint8Array>): SealedSessionKey[] {
  return message.packets
    .filterByTag(enums.packet.publicKeyEncryptedSessionKey)
    .flatMap((packet) =>
      packet instanceof PublicKeyEncryptedSessionKeyPacket
        ? [{ keyId: fieldsOf(packet).publicKeyID, bytes: packet.write() }]
        : [],
    )
}

interface Attempt {
  /** A PKESK. */
  readonly sealed: Uint8Array
  readonly key: PrivateKey
}

/** RFC 9580 section 5.1.8: a key ID of zeros is anybody's. Those that name a key come first. */
function* attempts(
  packets: readonly SealedSessionKey[],
  keys: readonly PrivateKey[],
): Generator<Attempt> {
  const isHidden = ({ keyId }: SealedSessionKey): boolean => /^0*$/.test(keyId.toHex())
  for (const key of keys) {
    const named = packets.filter(
      (packet) => !isHidden(packet) && key.getKeyIDs().some((id) => id.equals(packet.keyId)),
    )
    for (const { bytes } of named.slice(0, MOST_NAMED_TRIES)) yield { sealed: bytes, key }
  }
  let left = MOST_HIDDEN_TRIES
  for (const { bytes } of packets.filter(isHidden)) {
    for (const key of keys) {
      if (left-- <= 0) return
      yield { sealed: bytes, key }
    }
  }
}

/** Those that may be in it: of RSA always one, which is the true one or nobody's. */
async function sessionKeysOf(
  sealed: Uint8Array,
  key: PrivateKey,
  ciphers: readonly Cipher[],
): Promise<DecryptedSessionKey[]> {
  const copy = new PublicKeyEncryptedSessionKeyPacket() // the library uses it up
  copy.read(sealed)
  const { publicKeyAlgorithm, publicKeyID, encrypted, version } = fieldsOf(copy)
  if (RSA.includes(publicKeyAlgorithm)) {
    // To read old mail is no matter of dates: so it is without one.
    const found = await key.getDecryptionKeys(publicKeyID, null).catch(() => [])
    return found
      .map(({ keyPacket }) => rsaKey(keyPacket))
      .filter((one) => one !== undefined)
      .map((one) => rsaSessionKey(one, { encrypted: encrypted.c, version }, ciphers))
  }
  const list = new PacketList<PublicKeyEncryptedSessionKeyPacket>()
  list.push(copy)
  return decryptSessionKeys({ message: new Message(list), decryptionKeys: key }).catch(() => [])
}

const RSA: readonly number[] = [enums.publicKey.rsaEncryptSign, enums.publicKey.rsaEncrypt]

/** What the types of the library leave out. */
interface SessionKeyFields {
  readonly version: 3 | 6
  readonly publicKeyID: KeyID
  readonly publicKeyAlgorithm: number
  /** Of RSA a number. */
  readonly encrypted: { readonly c: Uint8Array }
}

function fieldsOf(packet: PublicKeyEncryptedSessionKeyPacket): SessionKeyFields {
  return packet as unknown as SessionKeyFields
}

const rsaKeys = new WeakMap<object, KeyObject>()

/** undefined: of another kind, or without its secret half. */
function rsaKey(packet: AnyKeyPacket): KeyObject | undefined {
  const held = rsaKeys.get(packet)
  if (held) return held
  if (!RSA.includes(packet.algorithm) || !('privateParams' in packet)) return undefined
  const { publicParams, privateParams } = packet
  if (!privateParams) return undefined
  const made = rsaKeyOf({ ...publicParams, ...privateParams } as RsaNumbers)
  rsaKeys.set(packet, made)
  return made
}

async function contentOf(
  data: Data,
  sessionKey: DecryptedSessionKey,
  ciphers: readonly Cipher[],
): Promise<Omit<Opened, 'openers'> | undefined> {
  const contents = await contentsOf(data, sessionKey, ciphers)
  if (!contents) return undefined
  const { content, signatures, cipher } = contents
  const digests = content.length >= LARGE_BYTES ? await digestsOf(signatures, content) : []
  return {
    content: keepOnly(content),
    cipher,
    isWeak: WEAK_CIPHERS.includes(cipher),
    sealedKeyId: createHash('sha256')
      .update('HISHO-V2-OPENPGP-SESSION-KEY')
      .update(sessionKey.data)
      .digest('hex'),
    signatures,
    digests,
  }
}
