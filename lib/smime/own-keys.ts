// Our own keys for S/MIME, with the certificates by which others know them.
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import {
  keysToOpenFor,
  keysToSignFor,
  partsOf,
  type Candidate,
  type OwnKeySource,
  type OwnMailKey,
} from '../mail/own-mail-keys.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'

/** A key of one of our domains. */
export interface OwnSmimeKey extends OwnMailKey {
  /** PKCS #8, DER. */
  readonly secret: SecretBytes
  /** DER, its own first, then what leads to the root. */
  readonly certificates: readonly Uint8Array[]
}

/** By domain. */
export type OwnSmimeKeys = ReadonlyMap<string, { readonly smime: readonly OwnSmimeKey[] }>

export type SmimeKeySource = OwnKeySource<OwnSmimeKeys>

/** A key that has a certificate. */
export interface SmimeCandidate extends Candidate<OwnSmimeKey> {
  /** DER. */
  readonly certificate: Uint8Array
}

/** To open mail for these normalised addresses. Expired, superseded and revoked ones do: RFC 8551 has no end for that. */
export function openingKeys(own: OwnSmimeKeys, addresses: readonly string[]): SmimeCandidate[] {
  return keysToOpenFor((domain) => own.get(domain)?.smime ?? [], addresses).flatMap((candidate) => {
    const [certificate] = candidate.key.certificates
    return certificate ? [{ ...candidate, certificate }] : []
  })
}

/** To sign for an author: their own, else the domain's; the newest whose certificate holds. */
export function signingKey(
  own: OwnSmimeKeys,
  author: string,
  atMs: number,
): OwnSmimeKey | undefined {
  const keys = own.get(partsOf(author).domain)?.smime ?? []
  return keysToSignFor(keys, author).find(({ certificates: [der] }) => {
    if (!der) return false
    const certificate = parseCertificate(der)
    return isCurrent(certificate, atMs) && isForSignatures(certificate)
  })
}

function isCurrent({ notBeforeMs, notAfterMs }: Certificate, atMs: number): boolean {
  return atMs >= notBeforeMs && atMs <= notAfterMs
}

/** RFC 8550 section 4.4.2. */
function isForSignatures({ keyUsage }: Certificate): boolean {
  return !keyUsage || keyUsage.has('digitalSignature') || keyUsage.has('nonRepudiation')
}
