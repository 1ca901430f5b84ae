// The X25519 recipient type: c2sp.org/age, "The X25519 recipient type"; RFC 7748; keys in Bech32, BIP 173.
import { randomBytes } from 'node:crypto'
import { hkdfSha256 } from '../crypto/hkdf.ts'
import { agree, CURVE_KEY_BYTES, privateKeyOf, publicKeyOf } from './curve25519.ts'
import { decodeKey, encodeKey } from './key-text.ts'
import { openUnder, sealUnder, WRAP_KEY_BYTES } from './sealed-key.ts'
import { decodeArgument, encodeBase64, stanzasOfType } from './stanza.ts'
import type { Identity, Recipient } from './stanza.ts'

export const X25519_STANZA_TYPE = 'X25519'
const TYPE = X25519_STANZA_TYPE
const INFO = new TextEncoder().encode('age-encryption.org/v1/X25519')
const RECIPIENT_PREFIX = 'age'
const IDENTITY_PREFIX = 'age-secret-key-'

/** Takes `age1...`. */
export function x25519Recipient(recipient: string): Recipient {
  const publicKey = decodeKey(recipient, RECIPIENT_PREFIX, CURVE_KEY_BYTES)
  return {
    async wrap(fileKey) {
      const ephemeral = privateKeyOf(new Uint8Array(randomBytes(CURVE_KEY_BYTES)))
      const share = publicKeyOf(ephemeral)
      const wrapKey = deriveWrapKey(agree(ephemeral, publicKey), share, publicKey)
      return [{ type: TYPE, args: [encodeBase64(share)], body: sealUnder(wrapKey, fileKey) }]
    },
  }
}

/** Takes `AGE-SECRET-KEY-1...`. */
export function x25519Identity(identity: string): Identity {
  const privateKey = privateKeyOf(decodeKey(identity, IDENTITY_PREFIX, CURVE_KEY_BYTES))
  const publicKey = publicKeyOf(privateKey)
  return {
    async unwrap(stanzas) {
      const candidates = stanzasOfType(stanzas, TYPE, 1).map(({ args, body }) => {
        return { share: decodeArgument(args[0] ?? '', CURVE_KEY_BYTES), body }
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
  const publicKey = publicKeyOf(privateKeyOf(decodeKey(identity, IDENTITY_PREFIX, CURVE_KEY_BYTES)))
  return encodeKey(RECIPIENT_PREFIX, publicKey)
}

/** A new key pair, in the notation of age-keygen. The identity is a secret. */
export function generateX25519Identity(): {
  readonly identity: string
  readonly recipient: string
} {
  const secret = new Uint8Array(randomBytes(CURVE_KEY_BYTES))
  const identity = encodeKey(IDENTITY_PREFIX, secret)
  secret.fill(0)
  return { identity, recipient: recipientOf(identity) }
}

function deriveWrapKey(secret: Uint8Array, share: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const salt = Buffer.concat([share, publicKey])
  const key = hkdfSha256(secret, salt, INFO, WRAP_KEY_BYTES)
  secret.fill(0)
  return key
}
