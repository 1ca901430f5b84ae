// Our own secret keys for OpenPGP. docs/openpgp.md, "Our own keys".
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import {
  addressesFor,
  keysToSignFor,
  partsOf,
  WHOLE_DOMAIN,
  type OwnMailKey,
} from '../mail/own-mail-keys.ts'

/** A key of one of our domains. */
export interface OwnKey extends OwnMailKey {
  readonly secret: SecretBytes
}

/** By domain. */
export type OwnKeys = ReadonlyMap<string, { readonly openpgp: readonly OwnKey[] }>

/** Where they are: the vault. TempError vault/locked while it cannot be opened. */
export interface OwnKeySource {
  contents(): Promise<OwnKeys>
  /** As `contents`, after a look at the file. */
  latest(): Promise<OwnKeys>
}

/** A key, and those of some addresses for whom it may be used. */
export interface Candidate {
  readonly key: OwnKey
  readonly addresses: readonly string[]
  readonly isOfDomain: boolean
}

/** To open mail for these normalised addresses. */
export function openingKeys(own: OwnKeys, addresses: readonly string[]): Candidate[] {
  const domains = new Set(addresses.map((address) => partsOf(address).domain))
  return [...domains].flatMap((domain) =>
    (own.get(domain)?.openpgp ?? []).flatMap((key) => {
      const theirs = addressesFor(key, domain, addresses)
      const isOfDomain = key.user === WHOLE_DOMAIN
      return theirs.length === 0 ? [] : [{ key, addresses: theirs, isOfDomain }]
    }),
  )
}

/** To sign for an author, the best first. Whether one has expired is in the key itself. */
export function signingKeys(own: OwnKeys, author: string): OwnKey[] {
  return keysToSignFor(own.get(partsOf(author).domain)?.openpgp ?? [], author)
}
