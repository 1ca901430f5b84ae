// Which of our own keys may be used for whom: a user's for that user alone, one of the domain (RFC 3183) for all of them.
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'

/** Whom a key is of that belongs to the domain and to none of its users. */
const WHOLE_DOMAIN = '*'

/** A key of one of our domains. */
export interface OwnSmimeKey {
  readonly id: string
  /** Local part in lower case, or `*`. */
  readonly user: string
  /** PKCS #8, DER. */
  readonly secret: SecretBytes
  /** DER, its own first, then what leads to the root. */
  readonly certificates: readonly Uint8Array[]
  /** ISO 8601, UTC. */
  readonly created: string
  readonly superseded?: string
  readonly revoked?: string
  readonly retired?: string
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
      const theirs = addresses.filter((address) => {
        const parts = partsOf(address)
        return parts.domain === domain && (isOfDomain || parts.user === key.user)
      })
      if (!certificate || key.retired !== undefined || theirs.length === 0) return []
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
  const { user, domain } = partsOf(author)
  const usable = (own.get(domain)?.smime ?? []).filter((key) => canSign(key, atMs))
  return [user, WHOLE_DOMAIN]
    .map((name) =>
      usable
        .filter((key) => key.user === name)
        .toSorted((one, other) => (one.created < other.created ? 1 : -1)),
    )
    .flat()[0]
}

function canSign(
  { certificates: [der], superseded, revoked, retired }: OwnSmimeKey,
  atMs: number,
): boolean {
  if (!der || superseded !== undefined || revoked !== undefined || retired !== undefined)
    return false
  const certificate = parseCertificate(der)
  return isCurrent(certificate, atMs) && isForSignatures(certificate)
}

function isCurrent({ notBeforeMs, notAfterMs }: Certificate, atMs: number): boolean {
  return atMs >= notBeforeMs && atMs <= notAfterMs
}

/** RFC 8550 section 4.4.2. */
function isForSignatures({ keyUsage }: Certificate): boolean {
  return !keyUsage || keyUsage.has('digitalSignature') || keyUsage.has('nonRepudiation')
}

/** The user without what follows a `+`, in lower case. */
function partsOf(address: string): { readonly user: string; readonly domain: string } {
  const at = address.lastIndexOf('@')
  const local = address.slice(0, at).toLowerCase()
  const plus = local.indexOf('+')
  return { user: plus > 0 ? local.slice(0, plus) : local, domain: address.slice(at + 1) }
}
