// Keys and certificates as Node takes them: to make one of its bytes takes about as long as to use it.
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto'
import { readCertificateKey, type CertificateKey } from './certificate-key.ts'

export interface KeyReader {
  /** PKCS #8, DER. */
  readonly privateKey: (secret: Uint8Array) => KeyObject
  /** PermError smime/certificate if it cannot be read, or is of a kind that we do not have. */
  readonly certificate: (der: Uint8Array) => CertificateKey
}

export const READ_ANEW: KeyReader = {
  privateKey: (secret) =>
    createPrivateKey({ key: Buffer.from(secret), format: 'der', type: 'pkcs8' }),
  certificate: readCertificateKey,
}

const MOST_KEYS = 64
const MOST_CERTIFICATES = 512

/** Remembers those that were used last. */
export function createKeyCache(): KeyReader {
  return {
    privateKey: remembered(READ_ANEW.privateKey, MOST_KEYS),
    certificate: remembered(READ_ANEW.certificate, MOST_CERTIFICATES),
  }
}

function remembered<T>(read: (bytes: Uint8Array) => T, most: number): (bytes: Uint8Array) => T {
  const held = new Map<string, T>()
  return (bytes) => {
    const name = createHash('sha256').update(bytes).digest('base64')
    const value = held.get(name) ?? read(bytes)
    held.delete(name) // and to the end
    held.set(name, value)
    for (const [oldest] of held) {
      if (held.size <= most) break
      held.delete(oldest)
    }
    return value
  }
}
