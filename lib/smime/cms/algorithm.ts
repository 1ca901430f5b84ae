// AlgorithmIdentifier, and the algorithms that we take: RFC 3370, 3560, 3565, 4055, 5084, 5753.
import { readObjectIdentifier } from '../../x509/der.ts'
import { expectTag, TAG, type BerElement } from './ber.ts'

export interface AlgorithmIdentifier {
  /** Dotted. */
  readonly id: string
  readonly parameters: BerElement | undefined
  readonly bytes: Uint8Array
}

/** RFC 5280 section 4.1.1.2, with another tag where the standard puts one in its place. */
export function readAlgorithm(
  element: BerElement | undefined,
  tag: number = TAG.sequence,
): AlgorithmIdentifier {
  const { children, bytes } = expectTag(element, tag)
  const [id, parameters] = children
  return { id: readObjectIdentifier(id), parameters, bytes }
}

export const OID = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  compressedData: '1.2.840.113549.1.9.16.1.9',
  authEnvelopedData: '1.2.840.113549.1.9.16.1.23',
  rsaEncryption: '1.2.840.113549.1.1.1',
  rsaesOaep: '1.2.840.113549.1.1.7',
  mgf1: '1.2.840.113549.1.1.8',
  pSpecified: '1.2.840.113549.1.1.9',
  ecPublicKey: '1.2.840.10045.2.1',
  zlib: '1.2.840.113549.1.9.16.3.8',
} as const

export const HASHES = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
} as const
export type Hash = (typeof HASHES)[keyof typeof HASHES]

export interface ContentCipher {
  /** OpenSSL's name. */
  readonly name: 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc' | 'des-ede3-cbc' | GcmCipher
  readonly keyBytes: number
  readonly mode: 'cbc' | 'gcm'
  readonly blockBytes: number
  /** Only for those whose line of the table says so. */
  readonly isWeak: boolean
}
export type GcmCipher = 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm'

const aes = (name: ContentCipher['name'], keyBytes: number): ContentCipher => ({
  name,
  keyBytes,
  mode: name.endsWith('gcm') ? 'gcm' : 'cbc',
  blockBytes: 16,
  isWeak: false,
})

/** RFC 3565 section 4.1, RFC 5084 section 3.2, RFC 3370 section 5.1. */
export const CONTENT_CIPHERS: Readonly<Record<string, ContentCipher>> = {
  '2.16.840.1.101.3.4.1.2': aes('aes-128-cbc', 16),
  '2.16.840.1.101.3.4.1.22': aes('aes-192-cbc', 24),
  '2.16.840.1.101.3.4.1.42': aes('aes-256-cbc', 32),
  '2.16.840.1.101.3.4.1.6': aes('aes-128-gcm', 16),
  '2.16.840.1.101.3.4.1.26': aes('aes-192-gcm', 24),
  '2.16.840.1.101.3.4.1.46': aes('aes-256-gcm', 32),
  '1.2.840.113549.3.7': {
    name: 'des-ede3-cbc',
    keyBytes: 24,
    mode: 'cbc',
    blockBytes: 8,
    isWeak: true,
  },
}

/** What is refused by its name, so that the operator knows what came. */
export const REFUSED_CIPHERS: Readonly<Record<string, string>> = {
  '1.2.840.113549.3.2': 'RC2',
  '1.2.840.113549.3.4': 'RC4',
  '1.3.14.3.2.7': 'DES',
  '1.3.6.1.4.1.188.7.1.1.2': 'IDEA',
  '1.2.840.113533.7.66.10': 'CAST5',
  '2.16.840.1.101.3.4.1.7': 'AES-128-CCM',
  '2.16.840.1.101.3.4.1.27': 'AES-192-CCM',
  '2.16.840.1.101.3.4.1.47': 'AES-256-CCM',
}

export interface KeyWrap {
  /** OpenSSL's name. */
  readonly name: 'id-aes128-wrap' | 'id-aes192-wrap' | 'id-aes256-wrap'
  readonly keyBytes: number
}

/** RFC 3565 section 4.1 (KeyWrapAlgorithm). */
export const KEY_WRAPS: Readonly<Record<string, KeyWrap>> = {
  '2.16.840.1.101.3.4.1.5': { name: 'id-aes128-wrap', keyBytes: 16 },
  '2.16.840.1.101.3.4.1.25': { name: 'id-aes192-wrap', keyBytes: 24 },
  '2.16.840.1.101.3.4.1.45': { name: 'id-aes256-wrap', keyBytes: 32 },
}

/** RFC 5753 section 7.1.4: standard DH, and cofactor DH, which is the same on curves whose cofactor is 1. */
export const AGREEMENT_HASHES: Readonly<Record<string, Hash>> = {
  '1.3.133.16.840.63.0.2': 'sha1',
  '1.3.132.1.11.0': 'sha224',
  '1.3.132.1.11.1': 'sha256',
  '1.3.132.1.11.2': 'sha384',
  '1.3.132.1.11.3': 'sha512',
  '1.3.133.16.840.63.0.3': 'sha1',
  '1.3.132.1.14.0': 'sha224',
  '1.3.132.1.14.1': 'sha256',
  '1.3.132.1.14.2': 'sha384',
  '1.3.132.1.14.3': 'sha512',
}

/** By Node's name, with what a sender uses beside it: RFC 5753 section 8 (S/MIME clients). */
export const CURVES = {
  prime256v1: { id: '1.2.840.10045.3.1.7', name: 'P-256', agreement: '1.3.132.1.11.1' },
  secp384r1: { id: '1.3.132.0.34', name: 'P-384', agreement: '1.3.132.1.11.2' },
  secp521r1: { id: '1.3.132.0.35', name: 'P-521', agreement: '1.3.132.1.11.3' },
} as const
export type Curve = keyof typeof CURVES

export function curveOf(name: string | undefined): Curve | undefined {
  return name !== undefined && Object.hasOwn(CURVES, name) ? (name as Curve) : undefined
}
