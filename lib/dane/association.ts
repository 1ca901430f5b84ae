// Whether a certificate is the one of a TLSA record: RFC 6698 section 2.1.
import { createHash } from 'node:crypto'
import type { TlsaRecord } from '../dns/records.ts'
import { publicKeyOf } from '../x509/certificate.ts'
import { MATCHING, SELECTOR } from './usable.ts'

/** PermError where the certificate is none. */
export function matchesRecord(
  { selector, matchingType, certificate }: TlsaRecord,
  der: Uint8Array,
): boolean {
  return Buffer.compare(associationOf(der, { selector, matchingType }), certificate) === 0
}

/** Certificate association data: RFC 6698 section 2.1.4. Of a selector and a matching type that we use. */
export function associationOf(
  der: Uint8Array,
  { selector, matchingType }: Pick<TlsaRecord, 'selector' | 'matchingType'>,
): Uint8Array {
  const selected = selector === SELECTOR.certificate ? der : publicKeyOf(der)
  if (matchingType === MATCHING.full) return Uint8Array.from(selected)
  const digest = createHash(matchingType === MATCHING.sha256 ? 'sha256' : 'sha512')
  return Uint8Array.from(digest.update(selected).digest())
}
