// Our own CA as it lies in the vault: its key and certificate in the section `ca` of one of its domains.
import { PermError } from '../errors.ts'
import { fingerprintOf, type Authority } from '../smime/ca/authority.ts'
import { authoritiesIn, type OwnAuthority } from '../services/own-authorities.ts'
import { formatRegister, type Issued, type Register } from '../smime/ca/register.ts'
import type { VaultContents } from '../vault/contents.ts'
import { WHOLE_DOMAIN, withChangedMailKey, withMailKey } from '../vault/mail-keys.ts'

/** The newest for the domain; without one the only one there is. PermError cli/usage if there is none. */
export function authorityFor(contents: VaultContents, domain: string | undefined): OwnAuthority {
  const all = authoritiesIn(contents).filter(
    ({ register, entry }) =>
      entry.retired === undefined && (domain === undefined || register.domains.includes(domain)),
  )
  const newest = all.toSorted((one, other) => (one.entry.created < other.entry.created ? 1 : -1))[0]
  if (newest === undefined)
    throw new PermError(
      'cli/usage',
      `there is no CA${domain ? ` for ${domain}` : ''}: hisho ca init`,
    )
  if (domain === undefined && all.length > 1)
    throw new PermError('cli/usage', 'there are several CAs: say --domain')
  return newest
}

/** PermError cli/usage if no certificate of ours begins so, or several do. */
export function issuedBy(
  contents: VaultContents,
  prefix: string,
): { readonly authority: OwnAuthority; readonly issued: Issued } {
  const found = authoritiesIn(contents).flatMap((authority) =>
    authority.register.issued
      .filter(({ id }) => id.startsWith(prefix.toLowerCase()))
      .map((issued) => ({ authority, issued })),
  )
  const [only] = found
  if (only === undefined || found.length > 1)
    throw new PermError('cli/usage', `${found.length} certificates of ours begin with ${prefix}`)
  return only
}

export function withAuthority(
  contents: VaultContents,
  { key, certificate, register }: Authority,
  created: string,
): VaultContents {
  return withMailKey(contents, register.domains[0] ?? '', 'ca', {
    id: fingerprintOf(certificate),
    user: WHOLE_DOMAIN,
    secret: key.secret,
    certificates: [certificate],
    created,
    notes: formatRegister(register),
  })
}

export function withRegister(
  contents: VaultContents,
  { site, entry }: OwnAuthority,
  register: Register,
): VaultContents {
  const changed = { ...entry, notes: formatRegister(register) }
  return withChangedMailKey(contents, site, 'ca', changed)
}
