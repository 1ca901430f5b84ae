// Certificates, requests for them, and lists of revoked ones, as we write them: RFC 5280 sections 4.1 and 5.1, RFC 2986.
import type { KeyObject } from 'node:crypto'
import {
  bitString,
  booleanTrue,
  element,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  time,
  utf8String,
} from '../../x509/der-writer.ts'
import { signingWith } from '../signature-algorithm.ts'

export interface Extension {
  readonly id: string
  readonly critical?: true
  readonly value: Uint8Array
}

export interface CertificateFields {
  /** Not negative, first octet first. */
  readonly serialNumber: Uint8Array
  /** Names, as DER. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** SubjectPublicKeyInfo, as DER. */
  readonly publicKey: Uint8Array
  readonly extensions: readonly Extension[]
}

const VERSION_3 = 2
const VERSION_2 = 1
const COMMON_NAME = '2.5.4.3'
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14' // RFC 2985 section 5.4.2

/** DER, signed with the issuer's key. */
export function formatCertificate(fields: CertificateFields, issuerKey: KeyObject): Uint8Array {
  return signed(issuerKey, (algorithm) =>
    sequence(
      element(0xa0, integer(VERSION_3)),
      integer(fields.serialNumber),
      algorithm,
      fields.issuer,
      sequence(time(fields.notBeforeMs), time(fields.notAfterMs)),
      fields.subject,
      fields.publicKey,
      element(0xa3, formatExtensions(fields.extensions)),
    ),
  )
}

export interface ListFields {
  readonly issuer: Uint8Array
  readonly thisUpdateMs: number
  readonly nextUpdateMs: number
  readonly entries: readonly ListEntry[]
  readonly extensions: readonly Extension[]
}

export interface ListEntry {
  readonly serialNumber: Uint8Array
  readonly revokedMs: number
  readonly extensions: readonly Extension[]
}

/** DER, signed with the issuer's key. */
export function formatRevocationList(fields: ListFields, issuerKey: KeyObject): Uint8Array {
  const entries = fields.entries.map(({ serialNumber, revokedMs, extensions }) =>
    sequence(
      integer(serialNumber),
      time(revokedMs),
      ...(extensions.length > 0 ? [formatExtensions(extensions)] : []),
    ),
  )
  return signed(issuerKey, (algorithm) =>
    sequence(
      integer(VERSION_2),
      algorithm,
      fields.issuer,
      time(fields.thisUpdateMs),
      time(fields.nextUpdateMs),
      // RFC 5280 section 5.1.2.6: absent where there are none.
      ...(entries.length > 0 ? [sequence(...entries)] : []),
      element(0xa0, formatExtensions(fields.extensions)),
    ),
  )
}

/** A request for a certificate, DER, signed with its own key. */
export function formatRequest(
  subject: Uint8Array,
  extensions: readonly Extension[],
  publicKey: Uint8Array,
  key: KeyObject,
): Uint8Array {
  const asked = sequence(objectIdentifier(EXTENSION_REQUEST), setOf(formatExtensions(extensions)))
  return signed(key, () => sequence(integer(0), subject, publicKey, element(0xa0, asked)))
}

/** A name of one common name, as DER. */
export function commonName(text: string): Uint8Array {
  return sequence(setOf(sequence(objectIdentifier(COMMON_NAME), utf8String(text))))
}

function signed(key: KeyObject, body: (algorithm: Uint8Array) => Uint8Array): Uint8Array {
  const signing = signingWith(key, 'certificate')
  const bytes = body(signing.signatureAlgorithm)
  return sequence(bytes, signing.signatureAlgorithm, bitString(signing.sign(bytes)))
}

function formatExtensions(extensions: readonly Extension[]): Uint8Array {
  return sequence(
    ...extensions.map(({ id, critical, value }) =>
      sequence(objectIdentifier(id), ...(critical ? [booleanTrue()] : []), octetString(value)),
    ),
  )
}
