// The keys that we share with other sites: which one to send with, and all of them to open with.
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'

export interface SharedKey {
  readonly id: string
  readonly key: SecretBytes
  /** ISO 8601, UTC. */
  readonly created: string
  readonly retired?: string
}

/** By site, which is the other domain. */
export type SharedKeys = ReadonlyMap<string, { readonly shared: readonly SharedKey[] }>

/** Where they are: the vault. TempError vault/locked while it cannot be opened. */
export interface SharedKeySource {
  contents(): Promise<SharedKeys>
  /** As `contents`, after a look at the file: for what the contents at hand do not have. */
  latest(): Promise<SharedKeys>
}

export interface FoundKey extends SharedKey {
  readonly site: string
}

/** undefined: there is none with this id. Ids are given once in a vault. */
export function keyById(keys: SharedKeys, id: string): FoundKey | undefined {
  for (const [site, { shared }] of keys) {
    const key = shared.find((known) => known.id === id)
    if (key) return { ...key, site }
  }
  return undefined
}

/** The newest of the site that is not retired. */
function newestKey(keys: SharedKeys, site: string): FoundKey | undefined {
  const usable = (keys.get(site)?.shared ?? []).filter(({ retired }) => retired === undefined)
  const [newest] = usable.toSorted((one, other) => (one.created < other.created ? 1 : -1))
  return newest && { ...newest, site }
}

/** The key to send with: the one that the table names, else the newest. PermError if the named one cannot be used. */
export function sendingKey(
  keys: SharedKeys,
  domain: string,
  keyId: string | undefined,
): FoundKey | undefined {
  if (keyId === undefined) return newestKey(keys, domain)
  const named = keyById(keys, keyId)
  if (named && named.retired === undefined) return named
  const why = named ? 'is retired' : 'is not in the vault'
  throw new PermError('protection/no-key', `${domain}: the shared key ${keyId} ${why}`)
}
