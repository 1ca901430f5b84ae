// Our own secret keys for OpenPGP. docs/openpgp.md, "Our own keys".
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import {
  keysToSignFor,
  partsOf,
  type OwnKeySource,
  type OwnMailKey,
} from '../mail/own-mail-keys.ts'

/** A key of one of our domains. */
export interface OwnKey extends OwnMailKey {
  readonly secret: SecretBytes
}

/** By domain. */
export type OwnKeys = ReadonlyMap<string, { readonly openpgp: readonly OwnKey[] }>

export type OpenPgpKeySource = OwnKeySource<OwnKeys>

/** To sign for an author, the best first. Whether one has expired is in the key itself. */
export function signingKeys(own: OwnKeys, author: string): OwnKey[] {
  return keysToSignFor(own.get(partsOf(author).domain)?.openpgp ?? [], author)
}
