// Our own keys for S/MIME, with the certificates by which others know them.
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import {
  addressesFor,
  keysToSignFor,
  partsOf,
  WHOLE_DOMAIN,
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

/** Where they are: the vault. TempError vault/locked while it cannot be opened. */
export interface OwnSmimeKeySource {
  contents(): Promise<OwnSmimeKeys>
  /** As `contents`, after a look at the file. */
  latest(): Promise<OwnSmimeKeys>
}

/** A key with the domain whose it is, and those of some addresses for whom it may be used. */
export interface Candidate {
  readonly key: OwnSmimeKey
  /** DER. */
  readonly certificate: Uint8Array
  readonly addresses: readonly string[]
  readonly isOfDomain: boolean
}

/** To open mail for these normalised addresses. Expired, superseded and revoked ones do: RFC 8551 has no end for that. */
export function openingKeys(own: OwnSmimeKeys, addresses: readonly string[]): Candidate[] {
  const domains = new Set(addresses.map((address) => partsOf(address).domain))
  return [...domains].flatMap((domain) =>
    (own.get(domain)?.smime ?? []).flatMap((key) => {
      const [certificate] = key.certificates
      const isOfDomain = key.user === WHOLE_DOMAIN
      const theirs = addressesFor(key, domain, addresses)
      if (!certificate || theirs.length === 0) return []
      return [{ key, certificate, addresses: theirs, isOfDomain }]
    }),
  )
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
