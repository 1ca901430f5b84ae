// Whether a path of certificates holds, its signatures apart: RFC 5280 section 6.1. Certificate policies are not looked
// at; a certificate that insists on them is refused.
import type { Certificate, KeyUsage } from './certificate.ts'
import { readElement } from './der.ts'
import {
  NAME_TAG,
  directoryBytes,
  dnsText,
  isDirectory,
  isDns,
  isMail,
  mailText,
  permits,
  type Names,
} from './name-constraints.ts'

export interface PathProblem {
  readonly kind: 'out-of-date' | 'not-allowed'
  readonly reason: string
}

export interface PathOptions {
  readonly nowMs: number
  /** What the server is called where its certificate has no DNS-ID, and its common name was taken. */
  readonly commonNames: readonly string[]
  /** Default: a TLS server. */
  readonly purpose?: Purpose
}

/** What the first certificate of a path is wanted for. */
export interface Purpose {
  /** Such as `TLS servers`. */
  readonly name: string
  readonly extendedKeyUsage: string
  /** One of them will do. */
  readonly keyUsages: readonly KeyUsage[]
}

const TLS_SERVER: Purpose = {
  name: 'TLS servers',
  extendedKeyUsage: '1.3.6.1.5.5.7.3.1',
  keyUsages: ['digitalSignature', 'keyEncipherment', 'keyAgreement'],
}
const EMPTY_NAME_BYTES = 2
const ANY_PURPOSE = '2.5.29.37.0'
/** RFC 8446 section 4.4.2.4: no MD5, and better no SHA-1. */
const WEAK_SIGNATURES: readonly string[] = [
  '1.2.840.113549.1.1.2', // MD2 with RSA
  '1.2.840.113549.1.1.4', // MD5 with RSA
  '1.2.840.113549.1.1.5', // SHA-1 with RSA
  '1.2.840.10040.4.3', // SHA-1 with DSA
  '1.2.840.10045.4.1', // SHA-1 with ECDSA
]

/** The server's own certificate first, then each one's issuer. `undefined`: nothing is wrong. */
export function pathProblem(
  path: readonly Certificate[],
  { nowMs, commonNames, purpose = TLS_SERVER }: PathOptions,
): PathProblem | undefined {
  const outOfDate = path.find(
    ({ notBeforeMs, notAfterMs }) => nowMs < notBeforeMs || nowMs > notAfterMs,
  )
  if (outOfDate) {
    const reason = nowMs < outOfDate.notBeforeMs ? 'is not valid yet' : 'has expired'
    return { kind: 'out-of-date', reason: `${placeOf(path, outOfDate)} ${reason}` }
  }
  let intermediates = 0
  for (const [depth, certificate] of path.entries()) {
    const problem =
      commonProblem(certificate, purpose) ??
      (depth === 0
        ? ownProblem(certificate, purpose)
        : authorityProblem(certificate, intermediates)) ??
      namesProblem(certificate, path.slice(0, depth), commonNames)
    if (problem) return notAllowed(`${placeOf(path, certificate)} ${problem}`)
    // The last one may be the anchor itself: whoever signed that is no matter.
    const isSigned = depth < path.length - 1 || !certificate.isSelfIssued
    if (isSigned && WEAK_SIGNATURES.includes(certificate.signatureAlgorithm))
      return notAllowed(`${placeOf(path, certificate)} has a signature that anybody could make`)
    if (depth > 0 && !certificate.isSelfIssued) intermediates += 1
  }
  return undefined
}

function commonProblem(
  { unknownCritical, extendedKeyUsage }: Certificate,
  { name, extendedKeyUsage: wanted }: Purpose,
): string | undefined {
  // RFC 5280 section 4.2.
  if (unknownCritical.length > 0)
    return `has a critical extension that is unknown here (${unknownCritical.join(', ')})`
  // Of issuers too, as everybody has it, RFC 5280 section 4.2.1.12 notwithstanding.
  const fits =
    !extendedKeyUsage || extendedKeyUsage.has(wanted) || extendedKeyUsage.has(ANY_PURPOSE)
  return fits ? undefined : `is not for ${name}`
}

function ownProblem({ keyUsage }: Certificate, { name, keyUsages }: Purpose): string | undefined {
  const fits = !keyUsage || keyUsages.some((usage) => keyUsage.has(usage))
  return fits ? undefined : `has a key that is not for ${name}`
}

function authorityProblem(
  { isAuthority, keyUsage, pathLength }: Certificate,
  intermediates: number,
): string | undefined {
  if (!isAuthority) return 'is no authority, and issued a certificate'
  if (keyUsage && !keyUsage.has('keyCertSign')) return 'has a key that is not for certificates'
  // RFC 5280 section 4.2.1.9: self-issued ones are not counted.
  if (pathLength !== undefined && intermediates > pathLength)
    return `allows ${pathLength} authorities below itself, and there are ${intermediates}`
  return undefined
}

function namesProblem(
  { nameConstraints }: Certificate,
  below: readonly Certificate[],
  commonNames: readonly string[],
): string | undefined {
  if (!nameConstraints) return undefined
  // RFC 5280 section 6.1.3 (b), (c): self-issued ones are passed over, but not the last.
  const allowed = below.every(
    (certificate, depth) =>
      (depth > 0 && certificate.isSelfIssued) ||
      permits(nameConstraints, namesOf(certificate, depth === 0 ? commonNames : [])),
  )
  return allowed ? undefined : 'may not vouch for the names below it'
}

function namesOf(
  { subject, subjectAddresses, alternativeNames }: Certificate,
  commonNames: readonly string[],
): Names {
  const dns = alternativeNames.filter(isDns).map(dnsText)
  const kinds = new Set(alternativeNames.map(({ tag }) => tag))
  const directory = alternativeNames.filter(isDirectory).map(directoryBytes)
  if (subject.length > EMPTY_NAME_BYTES) {
    kinds.add(NAME_TAG.directory)
    directory.push(readElement(subject).content)
  }
  // RFC 5280 section 4.2.1.10 asks for the subject's where there is no subjectAltName; everybody looks at both.
  const mail = [
    ...alternativeNames.filter(isMail).map(mailText),
    ...subjectAddresses.map((address) => address.toLowerCase()),
  ]
  return { dns: dns.length > 0 ? dns : commonNames, mail, directory, kinds }
}

function placeOf(path: readonly Certificate[], certificate: Certificate): string {
  const depth = path.indexOf(certificate)
  return depth === 0 ? 'its certificate' : `the issuer ${depth} above its certificate`
}

function notAllowed(reason: string): PathProblem {
  return { kind: 'not-allowed', reason }
}
