// The keys that we share with other sites, in the vault: several of a site, each known by an id that is given once.
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'
import type { YamlFile } from '../yaml/document.ts'
import { list, type Path } from '../yaml/values.ts'
import { readEntry } from './entry.ts'
import { withSite, type VaultContents } from './site.ts'

export interface SharedKeyEntry {
  /** Printable ASCII without blanks: it stands in clear in each message. */
  readonly id: string
  readonly key: SecretBytes
  /** ISO 8601, UTC. */
  readonly created: string
  /** From then on nothing is sealed or opened with it. */
  readonly retired?: string
}

const MIN_KEY_BYTES = 32
const MAX_KEY_BYTES = 1024
/** PermError vault/malformed; the message names the place, never a value. */
export function parseSharedKeys(yaml: YamlFile, path: Path, value: unknown): SharedKeyEntry[] {
  return list(yaml, path, value).map((entry, at) => parseSharedKey(yaml, [...path, at], entry))
}

export function parseSharedKey(yaml: YamlFile, path: Path, value: unknown): SharedKeyEntry {
  const { text, optional, fail } = readEntry(yaml, path, value)
  const key = Buffer.from(text('key'), 'base64')
  const isCanonical = key.toString('base64') === text('key') // Node skips what is not base64
  if (!isCanonical || key.length < MIN_KEY_BYTES || key.length > MAX_KEY_BYTES)
    fail('key', `must be base64 of ${MIN_KEY_BYTES} bytes or more`)
  return {
    id: text('id'),
    key: new SecretBytes(key),
    created: text('created'),
    ...optional('retired'),
  }
}

/** For the YAML of the vault, or of a file that carries a key. It holds the secret. */
export function plainSharedKey({ id, key, created, retired }: SharedKeyEntry): object {
  return {
    id,
    key: Buffer.from(key.bytes).toString('base64'),
    created,
    ...(retired !== undefined && { retired }),
  }
}

export function sharedKeysOf(contents: VaultContents, site: string): readonly SharedKeyEntry[] {
  return contents.get(site)?.shared ?? []
}

/** A copy with one key more. PermError if its id is given already, for whichever site: a message names nothing but the id. */
export function withSharedKey(
  contents: VaultContents,
  site: string,
  entry: SharedKeyEntry,
): VaultContents {
  for (const [other, { shared }] of contents) {
    if (shared.some(({ id }) => id === entry.id))
      throw new PermError('cli/usage', `the vault has a shared key ${entry.id} of ${other} already`)
  }
  return withSite(contents, site, { shared: [...sharedKeysOf(contents, site), entry] })
}

/** A copy in which nothing is done any more with one key. PermError if there is none. */
export function withRetiredKey(
  contents: VaultContents,
  site: string,
  keyId: string,
  retired: string,
): VaultContents {
  const shared = sharedKeysOf(contents, site)
  if (!shared.some(({ id }) => id === keyId))
    throw new PermError('cli/usage', `the vault has no shared key ${keyId} of ${site}`)
  return withSite(contents, site, {
    shared: shared.map((entry) => (entry.id === keyId ? { ...entry, retired } : entry)),
  })
}
