// Certificates of others, for whatever looks for keys: PEM, DER, and `.p7c` files (RFC 8551 section 3.8, certs-only).
import { createHash } from 'node:crypto'
import { HishoError, PermError } from '../errors.ts'
import type { KeyFormat, PublicKey } from '../mail/correspondent-keys.ts'
import { parseCertificate } from '../x509/certificate.ts'
import { TAG } from '../x509/der.ts'
import { addressesOf } from './certificate-addresses.ts'
import { isConstructed, readBer } from './cms/ber.ts'
import { LARGEST_CERTIFICATES_BYTES } from './limits.ts'
import { parseSignedData } from './signed/signed-data.ts'

type Normalize = (address: string) => string

/** Those of authorities are left out, whose use is another one. Expired ones are not: that is found out where one is to be used. */
export function createSmimeKeyFormat(normalizeAddress: Normalize): KeyFormat {
  return {
    kind: 'smime',
    async read(bytes) {
      if (bytes.length > LARGEST_CERTIFICATES_BYTES) throw unreadable('too long')
      const seen = new Map<string, PublicKey>()
      for (const der of blocksIn(bytes).flatMap(certificatesIn)) {
        const key = readKey(der, normalizeAddress)
        if (key) seen.set(key.fingerprint, key)
      }
      return [...seen.values()]
    },
  }
}

/** RFC 7468 sections 5 and 8. What is no text is one block. */
function blocksIn(bytes: Uint8Array): Uint8Array[] {
  if (bytes[0] === TAG.sequence) return [bytes]
  const text = Buffer.from(bytes).toString('latin1')
  const blocks = [
    ...text.matchAll(
      /-----BEGIN (CERTIFICATE|X509 CERTIFICATE|PKCS7|CMS)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g,
    ),
  ]
  if (blocks.length === 0) throw unreadable('neither PEM nor DER')
  return blocks.map(([, , base64 = '']) => Uint8Array.from(Buffer.from(base64, 'base64')))
}

/** A certificate begins with what is signed of it, a ContentInfo with a name. */
function certificatesIn(bytes: Uint8Array): readonly Uint8Array[] {
  const first = readBer(bytes).children[0]
  return first && isConstructed(first) ? [bytes] : parseSignedData(bytes).certificates
}

function readKey(der: Uint8Array, normalizeAddress: Normalize): PublicKey | undefined {
  const certificate = readOrThrow(der)
  if (certificate.isAuthority) return undefined
  return {
    fingerprint: createHash('sha256').update(der).digest('hex'),
    lasting: createHash('sha256').update(certificate.publicKey).digest('hex'),
    bytes: Uint8Array.from(der),
    addresses: addressesOf(certificate).flatMap((address) => {
      try {
        return [normalizeAddress(address)]
      } catch (error) {
        if (error instanceof HishoError) return [] // no mail could go to it
        throw error
      }
    }),
    expires: new Date(certificate.notAfterMs).toISOString(),
  }
}

function readOrThrow(der: Uint8Array): ReturnType<typeof parseCertificate> {
  try {
    return parseCertificate(der)
  } catch (error) {
    if (error instanceof PermError) throw unreadable(error.message)
    throw error
  }
}

function unreadable(what: string): PermError {
  return new PermError('smime/certificate', `no certificates: ${what}`)
}
