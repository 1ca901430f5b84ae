// Our own CA: one root that issues for our domains and their users, and says what it has revoked. RFC 5280; domain
// certificates are RFC 3183's.
import { createHash, randomBytes } from 'node:crypto'
import { PermError } from '../../errors.ts'
import { WHOLE_DOMAIN } from '../../mail/own-mail-keys.ts'
import { parseCertificate } from '../../x509/certificate.ts'
import { domainAddress } from '../certificate-addresses.ts'
import { REASONS, type RevocationReason } from '../trust/revocation-reasons.ts'
import {
  commonName,
  formatCertificate,
  formatRevocationList,
  type Extension,
} from './certificate.ts'
import {
  alternativeNames,
  authorityKeyIdentifier,
  basicConstraints,
  distributionPoint,
  forMail,
  keyUsage,
  listNumber,
  nameConstraints,
  reasonCode,
  subjectKeyIdentifier,
} from './extensions.ts'
import type { MailKey } from './mail-key.ts'
import type { Issued, Register } from './register.ts'

export interface Authority {
  readonly key: MailKey
  /** DER. */
  readonly certificate: Uint8Array
  readonly register: Register
}

/** Whom a certificate is for. `*`: all of the domain. */
export interface Holder {
  readonly domain: string
  readonly user: string
}

const DAY_MS = 86_400_000
/** Clocks of others may be behind. */
const BACKDATED_MS = 3_600_000
const SERIAL_BYTES = 16 // RFC 5280 section 4.1.2.2: 20 at most

export interface NewAuthority {
  readonly name: string
  /** Not empty, A-labels: for no others it can issue. */
  readonly domains: readonly string[]
  readonly days: number
  readonly listUrl: string | undefined
  readonly nowMs: number
}

export function createAuthority(
  key: MailKey,
  { name, domains, days, listUrl, nowMs }: NewAuthority,
): Authority {
  const subject = commonName(name)
  const certificate = formatCertificate(
    {
      serialNumber: newSerial(),
      issuer: subject,
      subject,
      notBeforeMs: nowMs - BACKDATED_MS,
      notAfterMs: nowMs + days * DAY_MS,
      publicKey: key.publicKey,
      extensions: [
        basicConstraints('authority'),
        keyUsage('keyCertSign', 'cRLSign'),
        subjectKeyIdentifier(key.publicKey),
        forMail(),
        nameConstraints(domains),
      ],
    },
    key.privateKey,
  )
  const register = { domains, ...(listUrl && { listUrl }), listNumber: 0, issued: [] }
  return { key, certificate, register }
}

export interface IssueOptions extends Holder {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  readonly algorithm: 'rsa' | 'ec'
  readonly days: number
  readonly nowMs: number
}

export interface IssuedCertificate {
  /** DER. */
  readonly certificate: Uint8Array
  readonly entry: Issued
  /** With the entry in it. */
  readonly register: Register
}

/** PermError cli/usage where the CA is not for the domain, or does not last as long. */
export function issueCertificate(
  { key, certificate: root, register }: Authority,
  { domain, user, publicKey, algorithm, days, nowMs }: IssueOptions,
): IssuedCertificate {
  if (!register.domains.includes(domain))
    throw new PermError('cli/usage', `the CA is for ${register.domains.join(', ')} only`)
  const { subject: issuer, notAfterMs: rootEndsMs } = parseCertificate(root)
  const notAfterMs = nowMs + days * DAY_MS
  if (notAfterMs > rootEndsMs)
    throw new PermError('cli/usage', `the CA itself ends ${new Date(rootEndsMs).toISOString()}`)
  const serialNumber = newSerial()
  const certificate = formatCertificate(
    {
      serialNumber,
      issuer,
      subject: commonName(user === WHOLE_DOMAIN ? domain : `${user}@${domain}`),
      notBeforeMs: Math.max(nowMs - BACKDATED_MS, parseCertificate(root).notBeforeMs),
      notAfterMs,
      publicKey,
      extensions: [
        basicConstraints('end'),
        ...holderExtensions({ domain, user }, algorithm),
        subjectKeyIdentifier(publicKey),
        authorityKeyIdentifier(key.publicKey),
        ...(register.listUrl === undefined ? [] : [distributionPoint(register.listUrl)]),
      ],
    },
    key.privateKey,
  )
  const entry: Issued = {
    id: fingerprintOf(certificate),
    serialNumber: Buffer.from(serialNumber).toString('hex'),
    domain,
    user,
    created: new Date(nowMs).toISOString(),
    expires: new Date(notAfterMs).toISOString(),
  }
  return { certificate, entry, register: { ...register, issued: [...register.issued, entry] } }
}

/** What a certificate for mail says of its holder, and what a request for one asks for. */
export function holderExtensions(
  { domain, user }: Holder,
  algorithm: 'rsa' | 'ec',
): readonly Extension[] {
  const addresses =
    user === WHOLE_DOMAIN
      ? [domainAddress(domain, 'confidentiality'), domainAddress(domain, 'signing')]
      : [`${user}@${domain}`]
  return [
    keyUsage('digitalSignature', algorithm === 'rsa' ? 'keyEncipherment' : 'keyAgreement'),
    forMail(),
    alternativeNames(addresses),
  ]
}

/** PermError cli/usage if it is revoked already, or not issued here. */
export function revokeCertificate(
  register: Register,
  id: string,
  { reason, nowMs }: { readonly reason: RevocationReason; readonly nowMs: number },
): Register {
  const entry = register.issued.find((one) => one.id === id)
  if (entry === undefined) throw new PermError('cli/usage', `the CA has not issued ${id}`)
  if (entry.revoked !== undefined)
    throw new PermError('cli/usage', `${id} was revoked on ${entry.revoked}`)
  const revoked = { ...entry, reason, revoked: new Date(nowMs).toISOString() }
  return { ...register, issued: register.issued.map((one) => (one.id === id ? revoked : one)) }
}

export interface PublishedList {
  /** DER. */
  readonly list: Uint8Array
  /** With its number in it. */
  readonly register: Register
}

/** All that are revoked, those that have expired since too: RFC 5280 section 3.3 asks for one list more, and this is simpler. */
export function publishList(
  { key, certificate, register }: Authority,
  { days, nowMs }: { readonly days: number; readonly nowMs: number },
): PublishedList {
  // RFC 5280 section 5.2.3: it grows, whoever of those that have the key makes the next list.
  const number = Math.max(register.listNumber + 1, Math.floor(nowMs / 1000))
  const list = formatRevocationList(
    {
      issuer: parseCertificate(certificate).subject,
      thisUpdateMs: nowMs,
      nextUpdateMs: nowMs + days * DAY_MS,
      entries: register.issued.flatMap(({ serialNumber, revoked, reason = 'unspecified' }) =>
        revoked === undefined
          ? []
          : [
              {
                serialNumber: Buffer.from(serialNumber, 'hex'),
                revokedMs: Date.parse(revoked),
                // RFC 5280 section 5.3.1: `unspecified` is said by saying nothing.
                extensions: reason === 'unspecified' ? [] : [reasonCode(REASONS.indexOf(reason))],
              },
            ],
      ),
      extensions: [authorityKeyIdentifier(key.publicKey), listNumber(number)],
    },
    key.privateKey,
  )
  return { list, register: { ...register, listNumber: number } }
}

/** SHA-256, hexadecimal. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex')
}

/** Positive, and nobody can guess it. */
function newSerial(): Uint8Array {
  const serial = Uint8Array.from(randomBytes(SERIAL_BYTES))
  serial[0] = 0x40 | (serial[0]! & 0x3f)
  return serial
}
