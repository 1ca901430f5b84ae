// Certificates for mail, by openssl, under an authority of the test's own.
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import type { SigningKey } from '../../lib/smime/signed/sign.ts'
import { createTrust, type Trust } from '../../lib/smime/trust/trust.ts'
import { AUTHORITY, certify, type Certified } from './certificates.ts'

export const KEY_TYPES = ['rsa3072', 'p256', 'p384'] as const
export type KeyType = (typeof KEY_TYPES)[number] | 'rsa1024' | 'rsa2048' | 'ed25519' | 'secp256k1'

const CURVES: Readonly<Record<string, string>> = {
  p256: 'P-256',
  p384: 'P-384',
  secp256k1: 'secp256k1',
}

export function newMailKey(type: KeyType): string {
  return generate(type).export({ type: 'pkcs8', format: 'pem' }).toString()
}

function generate(type: KeyType): KeyObject {
  if (type.startsWith('rsa'))
    return generateKeyPairSync('rsa', { modulusLength: Number(type.slice(3)) }).privateKey
  if (type === 'ed25519') return generateKeyPairSync('ed25519').privateKey
  return generateKeyPairSync('ec', { namedCurve: CURVES[type] ?? '' }).privateKey
}

export const mailAuthority = (...extensions: readonly string[]): Certified =>
  certify('/CN=mail authority', { extensions: [...AUTHORITY, ...extensions] })

export interface MailCertificateOptions {
  readonly address?: string
  readonly subject?: string
  readonly key?: KeyType
  readonly privateKey?: string
  readonly days?: number
  /** Instead of those that a certificate for mail has. */
  readonly extensions?: readonly string[]
  /** Beside them. */
  readonly more?: readonly string[]
}

export function mailCertificate(
  issuer: Certified,
  {
    address = 'alice@example.com',
    subject = '/CN=somebody',
    key = 'p256',
    privateKey = newMailKey(key),
    days,
    extensions,
    more = [],
  }: MailCertificateOptions = {},
): Certified {
  return certify(subject, {
    issuer,
    privateKey,
    ...(days !== undefined && { days }),
    extensions: extensions ?? [
      'keyUsage=critical,digitalSignature,keyEncipherment,keyAgreement',
      'extendedKeyUsage=emailProtection',
      `subjectAltName=email:${address}`,
      'subjectKeyIdentifier=hash',
      ...more,
    ],
  })
}

export function signingKey({ privateKey }: Certified, ...chain: readonly Certified[]): SigningKey {
  const der = createPrivateKey(privateKey).export({ type: 'pkcs8', format: 'der' })
  return {
    secret: new SecretBytes(Uint8Array.from(der)),
    certificates: chain.map((one) => one.der),
  }
}

/** Trusts these, and asks nobody about revocation. */
export function trusting(...anchors: readonly Certified[]): Trust {
  return createTrust({
    anchors: anchors.map(({ der }) => der),
    revocationMode: 'off',
    revocation: { check: () => Promise.reject(new Error('nobody is to be asked')) },
  })
}
