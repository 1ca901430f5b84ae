// TLSA records as people read and publish them: RFC 6698 section 2.2.
import type { TlsaRecord } from '../dns/records.ts'
import { PermError } from '../errors.ts'
import { associationOf } from './association.ts'

/** `3 1 1 2c26…`. */
export function formatTlsa({ usage, selector, matchingType, certificate }: TlsaRecord): string {
  return `${usage} ${selector} ${matchingType} ${Buffer.from(certificate).toString('hex')}`
}

/** The hexadecimal digits may be in several groups. PermError where it is no record. */
export function parseTlsa(text: string): TlsaRecord {
  const [usage, selector, matchingType, ...groups] = text.trim().split(/[ \t]+/)
  const hex = groups.join('')
  if (!/^(?:[0-9a-fA-F]{2})+$/.test(hex)) throw malformed()
  return {
    usage: parseNumber(usage),
    selector: parseNumber(selector),
    matchingType: parseNumber(matchingType),
    certificate: Uint8Array.from(Buffer.from(hex, 'hex')),
  }
}

/** The record that names a certificate, or its key. */
export function tlsaFor(
  der: Uint8Array,
  { usage, selector, matchingType }: Omit<TlsaRecord, 'certificate'>,
): TlsaRecord {
  const certificate = associationOf(der, { selector, matchingType })
  return { usage, selector, matchingType, certificate }
}

function parseNumber(text: string | undefined): number {
  if (text === undefined || !/^(?:0|[1-9]\d{0,2})$/.test(text) || Number(text) > 255)
    throw malformed()
  return Number(text)
}

function malformed(): PermError {
  return new PermError('dns/malformed', 'no TLSA record: RFC 6698 section 2.2')
}
