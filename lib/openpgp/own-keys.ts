// Which of our own secret keys may be used for whom. docs/openpgp.md, "Our own keys".
import type { SecretBytes } from '../crypto/secret-bytes.ts'

/** Whom a key is of that belongs to the domain and to none of its users. */
export const WHOLE_DOMAIN = '*'

/** A key of one of our domains. */
export interface OwnKey {
  /** The fingerprint. */
  readonly id: string
  /** Local part in lower case, or `*`. */
  readonly user: string
  readonly secret: SecretBytes
  /** ISO 8601, UTC. */
  readonly created: string
  readonly superseded?: string
  readonly revoked?: string
  readonly retired?: string
}

/** By domain. */
export type OwnKeys = ReadonlyMap<string, { readonly openpgp: readonly OwnKey[] }>

/** Where they are: the vault. TempError vault/locked while it cannot be opened. */
export interface OwnKeySource {
  contents(): Promise<OwnKeys>
  /** As `contents`, after a look at the file. */
  latest(): Promise<OwnKeys>
}

export interface AddressParts {
  /** Without what follows a `+`, in lower case. */
  readonly user: string
  readonly domain: string
}

export function partsOf(address: string): AddressParts {
  const at = address.lastIndexOf('@')
  const local = address.slice(0, at).toLowerCase()
  const plus = local.indexOf('+')
  return { user: plus > 0 ? local.slice(0, plus) : local, domain: address.slice(at + 1) }
}

/** Those that may open mail for at least one of these normalised addresses: a user's for that user alone. */
export function openingKeys(own: OwnKeys, addresses: readonly string[]): OwnKey[] {
  const parts = addresses.map(partsOf)
  return [...new Set(parts.map(({ domain }) => domain))].flatMap((domain) =>
    (own.get(domain)?.openpgp ?? []).filter(
      ({ user, retired }) =>
        retired === undefined &&
        (user === WHOLE_DOMAIN || parts.some((one) => one.domain === domain && one.user === user)),
    ),
  )
}

/** To sign for an author: their own, else the domain's, the newest first. Whether one has expired is in the key itself. */
export function signingKeys(own: OwnKeys, author: string): OwnKey[] {
  const { user, domain } = partsOf(author)
  const usable = (own.get(domain)?.openpgp ?? []).filter(
    (key) => !key.superseded && !key.revoked && !key.retired,
  )
  return [user, WHOLE_DOMAIN].flatMap((name) =>
    usable
      .filter((key) => key.user === name)
      .toSorted((one, other) => (one.created < other.created ? 1 : -1)),
  )
}

/** The addresses that a key's domain or user has among these. */
export function addressesOf(
  key: OwnKey,
  domain: string,
  addresses: readonly string[],
): { readonly whole: boolean; readonly addresses: string[] } {
  const whole = key.user === WHOLE_DOMAIN
  return {
    whole,
    addresses: addresses.filter((address) => {
      const parts = partsOf(address)
      return parts.domain === domain && (whole || parts.user === key.user)
    }),
  }
}
