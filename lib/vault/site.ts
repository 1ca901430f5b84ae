// What the vault holds of one site: a section for each kind of key. A new kind is a line here, and two in contents.ts.
import type { AgeIdentityEntry } from './age-identities.ts'
import type { MasterKeyEntry } from './contents.ts'
import type { SharedKeyEntry } from './shared-keys.ts'

export interface Site {
  /** Of a domain of ours. */
  readonly ibe: readonly MasterKeyEntry[]
  /** With a domain of others. */
  readonly shared: readonly SharedKeyEntry[]
  /** Of a domain of ours. */
  readonly age: readonly AgeIdentityEntry[]
}

export type VaultContents = ReadonlyMap<string, Site>

/** A copy in which a section of one site is another. */
export function withSite(
  contents: VaultContents,
  name: string,
  change: Partial<Site>,
): VaultContents {
  const site = contents.get(name) ?? { ibe: [], shared: [], age: [] }
  return new Map([...contents, [name, { ...site, ...change }]])
}
