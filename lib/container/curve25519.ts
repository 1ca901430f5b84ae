// X25519 on node:crypto, with raw keys: RFC 7748 section 5.
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto'
import { ContainerError } from './container-error.ts'

export const CURVE_KEY_BYTES = 32

// RFC 8410 section 7 and section 4: what stands before the 32 octets in PKCS #8 and in SubjectPublicKeyInfo.
// node:crypto takes raw X25519 keys in no other way.
const PKCS8_START = '302e020100300506032b656e04220420'
const SPKI_START = '302a300506032b656e032100'

/** Wipes the octets it was given. */
export function privateKeyOf(secret: Uint8Array): KeyObject {
  const der = Buffer.concat([Buffer.from(PKCS8_START, 'hex'), secret])
  secret.fill(0)
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return key
}

export function publicKeyOf(privateKey: KeyObject): Uint8Array {
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  return Uint8Array.from(der.subarray(-CURVE_KEY_BYTES))
}

export function agree(privateKey: KeyObject, share: Uint8Array): Uint8Array {
  const der = Buffer.concat([Buffer.from(SPKI_START, 'hex'), share])
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
  let secret
  try {
    secret = new Uint8Array(diffieHellman({ privateKey, publicKey }))
  } catch {
    // OpenSSL refuses an all-zero secret by itself, RFC 7748 section 6.1; the check below is for when it does not.
    secret = new Uint8Array(CURVE_KEY_BYTES)
  }
  if (secret.every((octet) => octet === 0)) {
    throw new ContainerError('header', 'an X25519 share has low order')
  }
  return secret
}
