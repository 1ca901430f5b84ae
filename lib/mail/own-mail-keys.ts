// Which of our own keys may be used for whom: a user's for that user alone, one of the domain (RFC 3183) for all of them. The
// same for every scheme that has keys of both kinds.

/** Whom a key is of that belongs to the domain and to none of its users. */
export const WHOLE_DOMAIN = '*'

/** What says whose a key of one of our domains is, and what it may still do. */
export interface OwnMailKey {
  readonly id: string
  /** Local part in lower case, or `WHOLE_DOMAIN`. */
  readonly user: string
  /** ISO 8601, UTC. */
  readonly created: string
  readonly superseded?: string
  readonly revoked?: string
  readonly retired?: string
}

/** Where our own keys are: the vault. TempError vault/locked while it cannot be opened. */
export interface OwnKeySource<Contents> {
  contents(): Promise<Contents>
  /** As `contents`, after a look at the file: for what the contents at hand do not have. */
  latest(): Promise<Contents>
}

/** A key, and those of some addresses for whom it may be used. */
export interface Candidate<Key extends OwnMailKey> {
  readonly key: Key
  readonly addresses: readonly string[]
  readonly isOfDomain: boolean
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

/** Of the keys of these normalised addresses' domains those that open mail for them. A retired one opens for nobody. */
export function keysToOpenFor<Key extends OwnMailKey>(
  keysOf: (domain: string) => readonly Key[],
  addresses: readonly string[],
): Candidate<Key>[] {
  const domains = new Set(addresses.map((address) => partsOf(address).domain))
  return [...domains].flatMap((domain) => {
    const here = addresses.filter((address) => partsOf(address).domain === domain)
    return keysOf(domain).flatMap((key) => {
      const isOfDomain = key.user === WHOLE_DOMAIN
      const theirs = here.filter((address) => isOfDomain || partsOf(address).user === key.user)
      const opensNothing = theirs.length === 0 || key.retired !== undefined
      return opensNothing ? [] : [{ key, addresses: theirs, isOfDomain }]
    })
  })
}

/** Of a domain's keys those to sign with for an author of it: their own, then the domain's, the newest first. */
export function keysToSignFor<Key extends OwnMailKey>(keys: readonly Key[], author: string): Key[] {
  const usable = keys.filter(
    ({ superseded, revoked, retired }) => (superseded ?? revoked ?? retired) === undefined,
  )
  return [partsOf(author).user, WHOLE_DOMAIN].flatMap((name) =>
    usable
      .filter(({ user }) => user === name)
      .toSorted((one, other) => (one.created < other.created ? 1 : -1)),
  )
}
