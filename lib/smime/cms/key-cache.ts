// Keys and certificates as Node takes them: to make one of its bytes takes about as long as to use it.
import { createPrivateKey, type KeyObject } from 'node:crypto'
import { remembered } from '../remembered.ts'
import { readLink, type Link } from '../trust/chain.ts'
import { readCertificateKey, type CertificateKey } from './certificate-key.ts'

export interface KeyReader {
  /** PKCS #8, DER. */
  readonly privateKey: (secret: Uint8Array) => KeyObject
  /** PermError smime/certificate if it cannot be read, or is of a kind that we do not have. */
  readonly certificate: (der: Uint8Array) => CertificateKey
  /** Of a signer. PermError, or what Node throws, for what is no certificate. */
  readonly link: (der: Uint8Array) => Link
}

export const READ_ANEW: KeyReader = {
  privateKey: (secret) =>
    createPrivateKey({ key: Buffer.from(secret), format: 'der', type: 'pkcs8' }),
  certificate: readCertificateKey,
  link: readLink,
}

const MOST_KEYS = 64
const MOST_CERTIFICATES = 512

/** Remembers those that were used last. */
export function createKeyCache(): KeyReader {
  return {
    privateKey: remembered(READ_ANEW.privateKey, MOST_KEYS),
    certificate: remembered(READ_ANEW.certificate, MOST_CERTIFICATES),
    link: remembered((der) => READ_ANEW.link(Uint8Array.from(der)), MOST_CERTIFICATES),
  }
}
