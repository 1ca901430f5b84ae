// What the vault holds of one site: a section for each kind of key. A new kind is a line here, and two in contents.ts.
import type { AgeIdentityEntry } from './age-identities.ts'
import type { MasterKeyEntry } from './contents.ts'
import type { MailKeyEntry } from './mail-keys.ts'
import type { SharedKeyEntry } from './shared-keys.ts'

export interface Site {
  /** Of a domain of ours. */
  readonly ibe: readonly MasterKeyEntry[]
  /** With a domain of others. */
  readonly shared: readonly SharedKeyEntry[]
  /** Of a domain of ours. */
  readonly age: readonly AgeIdentityEntry[]
  /** Of a domain of ours and its users. */
  readonly openpgp: readonly MailKeyEntry[]
  readonly smime: readonly MailKeyEntry[]
  /** Our own CA: of the domain that it was made under. */
  readonly ca: readonly MailKeyEntry[]
}

export type VaultContents = ReadonlyMap<string, Site>

export const EMPTY_SITE: Site = { ibe: [], shared: [], age: [], openpgp: [], smime: [], ca: [] }

/** A copy in which a section of one site is another. */
export function withSite(
  contents: VaultContents,
  name: string,
  change: Partial<Site>,
): VaultContents {
  const site = contents.get(name) ?? EMPTY_SITE
  return new Map([...contents, [name, { ...site, ...change }]])
}
