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

/** Those of these addresses for which a key of this domain may open mail. A retired one opens for nobody. */
export function addressesFor(
  { user, retired }: OwnMailKey,
  domain: string,
  addresses: readonly string[],
): string[] {
  if (retired !== undefined) return []
  return addresses.filter((address) => {
    const parts = partsOf(address)
    return parts.domain === domain && (user === WHOLE_DOMAIN || parts.user === user)
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
