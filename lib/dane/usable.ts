// Which TLSA records we can use: RFC 7672 section 3.1, RFC 7671 section 9.
import { X509Certificate, createPublicKey } from 'node:crypto'
import type { TlsaRecord } from '../dns/records.ts'
import { readElement } from '../x509/der.ts'

/** RFC 6698 section 2.1, in the words of RFC 7218. */
export const USAGE = { daneTa: 2, daneEe: 3 } as const
export const SELECTOR = { certificate: 0, publicKey: 1 } as const
export const MATCHING = { full: 0, sha256: 1, sha512: 2 } as const

const DIGEST_BYTES = new Map<number, number>([
  [MATCHING.sha256, 32],
  [MATCHING.sha512, 64],
])

/**
 * RFC 7671 section 9: of the digests for one usage and selector the strongest alone, so that whoever can break the weak
 * one gains nothing; whole certificates and keys stay beside it.
 */
export function usableRecords(records: readonly TlsaRecord[]): readonly TlsaRecord[] {
  const usable = records.filter(isUsable)
  return usable.filter(
    ({ usage, selector, matchingType }) =>
      matchingType === MATCHING.full ||
      usable.every(
        (other) =>
          other.usage !== usage ||
          other.selector !== selector ||
          other.matchingType <= matchingType,
      ),
  )
}

function isUsable(record: TlsaRecord): boolean {
  const { usage, selector, matchingType, certificate } = record
  // RFC 7672 section 3.1.3: PKIX-TA(0) and PKIX-EE(1) are not for mail.
  if (usage !== USAGE.daneTa && usage !== USAGE.daneEe) return false
  if (selector !== SELECTOR.certificate && selector !== SELECTOR.publicKey) return false
  if (matchingType === MATCHING.full)
    return selector === SELECTOR.certificate ? isCertificate(certificate) : isKey(certificate)
  return DIGEST_BYTES.get(matchingType) === certificate.length
}

function isCertificate(der: Uint8Array): boolean {
  return parses(der, () => new X509Certificate(der))
}

function isKey(der: Uint8Array): boolean {
  return parses(der, () => createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' }))
}

/** DER and nothing after it: Node would read PEM too. */
function parses(der: Uint8Array, read: () => unknown): boolean {
  try {
    readElement(der)
    read()
    return true
  } catch {
    return false
  }
}
