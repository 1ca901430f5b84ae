// The X25519 recipient type: c2sp.org/age, "The X25519 recipient type"; RFC 7748; keys in Bech32, BIP 173.
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  randomBytes,
  type KeyObject,
} from 'node:crypto'
import { hkdfSha256 } from '../crypto/hkdf.ts'
import { bech32 } from '@scure/base'
import { ContainerError } from './container-error.ts'
import { openUnder, sealUnder, WRAP_KEY_BYTES } from './sealed-key.ts'
import { decodeArgument, encodeBase64, stanzasOfType } from './stanza.ts'
import type { Identity, Recipient } from './stanza.ts'

const TYPE = 'X25519'
const KEY_BYTES = 32
const INFO = new TextEncoder().encode('age-encryption.org/v1/X25519')
const RECIPIENT_PREFIX = 'age'
const IDENTITY_PREFIX = 'age-secret-key-'

// RFC 8410 section 7 and section 4: what stands before the 32 octets in PKCS #8 and in SubjectPublicKeyInfo.
// node:crypto takes raw X25519 keys in no other way.
const PKCS8_START = '302e020100300506032b656e04220420'
const SPKI_START = '302a300506032b656e032100'

/** Takes `age1...`. */
export function x25519Recipient(recipient: string): Recipient {
  const publicKey = decodeKey(recipient, RECIPIENT_PREFIX)
  return {
    async wrap(fileKey) {
      const ephemeral = privateKeyOf(new Uint8Array(randomBytes(KEY_BYTES)))
      const share = publicKeyOf(ephemeral)
      const wrapKey = deriveWrapKey(agree(ephemeral, publicKey), share, publicKey)
      return [{ type: TYPE, args: [encodeBase64(share)], body: sealUnder(wrapKey, fileKey) }]
    },
  }
}

/** Takes `AGE-SECRET-KEY-1...`. */
export function x25519Identity(identity: string): Identity {
  const privateKey = privateKeyOf(decodeKey(identity, IDENTITY_PREFIX))
  const publicKey = publicKeyOf(privateKey)
  return {
    async unwrap(stanzas) {
      const candidates = stanzasOfType(stanzas, TYPE, 1).map(({ args, body }) => {
        return { share: decodeArgument(args[0] ?? '', KEY_BYTES), body }
      })
      for (const { share, body } of candidates) {
        const wrapKey = deriveWrapKey(agree(privateKey, share), share, publicKey)
        const fileKey = openUnder(wrapKey, body)
        if (fileKey !== undefined) return fileKey
      }
      return undefined
    },
  }
}

/** The `age1...` that belongs to an `AGE-SECRET-KEY-1...`. */
export function recipientOf(identity: string): string {
  const publicKey = publicKeyOf(privateKeyOf(decodeKey(identity, IDENTITY_PREFIX)))
  return bech32.encodeFromBytes(RECIPIENT_PREFIX, publicKey)
}

/** A new key pair, in the notation of age-keygen. The identity is a secret. */
export function generateX25519Identity(): {
  readonly identity: string
  readonly recipient: string
} {
  const secret = new Uint8Array(randomBytes(KEY_BYTES))
  const identity = bech32.encodeFromBytes(IDENTITY_PREFIX, secret).toUpperCase()
  secret.fill(0)
  return { identity, recipient: recipientOf(identity) }
}

/** Recipients are written in lower case and identities in upper case, and read only so. */
function decodeKey(text: string, prefix: string): Uint8Array {
  const decoded = bech32.decodeUnsafe(text)
  const bytes = decoded && bech32.fromWordsUnsafe(decoded.words)
  const cased = prefix === IDENTITY_PREFIX ? text.toUpperCase() : text.toLowerCase()
  if (
    !decoded ||
    !bytes ||
    decoded.prefix !== prefix ||
    bytes.length !== KEY_BYTES ||
    text !== cased
  ) {
    // Not the text itself: it may be a secret key with a typing mistake.
    throw new ContainerError('key', `this is not an X25519 key that begins with ${prefix}`)
  }
  return Uint8Array.from(bytes)
}

/** Wipes the octets it was given. */
function privateKeyOf(secret: Uint8Array): KeyObject {
  const der = Buffer.concat([Buffer.from(PKCS8_START, 'hex'), secret])
  secret.fill(0)
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return key
}

function publicKeyOf(privateKey: KeyObject): Uint8Array {
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  return Uint8Array.from(der.subarray(-KEY_BYTES))
}

function agree(privateKey: KeyObject, share: Uint8Array): Uint8Array {
  const der = Buffer.concat([Buffer.from(SPKI_START, 'hex'), share])
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
  let secret
  try {
    secret = new Uint8Array(diffieHellman({ privateKey, publicKey }))
  } catch {
    // OpenSSL refuses an all-zero secret by itself, RFC 7748 section 6.1; the check below is for when it does not.
    secret = new Uint8Array(KEY_BYTES)
  }
  if (secret.every((octet) => octet === 0)) {
    throw new ContainerError('header', 'an X25519 share has low order')
  }
  return secret
}

function deriveWrapKey(secret: Uint8Array, share: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const salt = Buffer.concat([share, publicKey])
  const key = hkdfSha256(secret, salt, INFO, WRAP_KEY_BYTES)
  secret.fill(0)
  return key
}
