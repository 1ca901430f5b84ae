// The age identities of our own domains, in the vault: several of a domain, all of them to open with.
import { ageIdentity } from '../container/native-keys.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'
import type { YamlFile } from '../yaml/document.ts'
import { list, type Path } from '../yaml/values.ts'
import { readEntries } from './entry.ts'
import { withSite, type VaultContents } from './site.ts'

export interface AgeIdentityEntry {
  /** Ours alone: it stands in no message but those that were opened with it. */
  readonly id: string
  /** `AGE-SECRET-KEY-...` */
  readonly identity: SecretBytes
  /** ISO 8601, UTC. */
  readonly created: string
  /** From then on nothing is opened with it. */
  readonly retired?: string
}

/** PermError vault/malformed; the message names the place, never a value. */
export function parseAgeIdentities(yaml: YamlFile, path: Path, value: unknown): AgeIdentityEntry[] {
  return readEntries(yaml, path, list(yaml, path, value)).map(({ text, optional, fail }) => {
    if (!isIdentity(text('identity'))) fail('identity', 'must be AGE-SECRET-KEY-...')
    return {
      id: text('id'),
      identity: new SecretBytes(new TextEncoder().encode(text('identity'))),
      created: text('created'),
      ...optional('retired'),
    }
  })
}

function isIdentity(text: string): boolean {
  try {
    ageIdentity(text)
    return true
  } catch {
    return false
  }
}

/** For the YAML of the vault. It holds the secret. */
export function plainAgeIdentity({ id, identity, created, retired }: AgeIdentityEntry): object {
  return {
    id,
    identity: new TextDecoder().decode(identity.bytes),
    created,
    ...(retired !== undefined && { retired }),
  }
}

export function ageIdentitiesOf(
  contents: VaultContents,
  domain: string,
): readonly AgeIdentityEntry[] {
  return contents.get(domain)?.age ?? []
}

/** A copy with one more. PermError if the domain has one with this id. */
export function withAgeIdentity(
  contents: VaultContents,
  domain: string,
  entry: AgeIdentityEntry,
): VaultContents {
  const age = ageIdentitiesOf(contents, domain)
  if (age.some(({ id }) => id === entry.id))
    throw new PermError(
      'cli/usage',
      `the vault has an age identity ${entry.id} of ${domain} already`,
    )
  return withSite(contents, domain, { age: [...age, entry] })
}

/** A copy in which one opens nothing any more. PermError if there is none. */
export function withRetiredIdentity(
  contents: VaultContents,
  domain: string,
  id: string,
  retired: string,
): VaultContents {
  const age = ageIdentitiesOf(contents, domain)
  if (age.every((entry) => entry.id !== id))
    throw new PermError('cli/usage', `the vault has no age identity ${id} of ${domain}`)
  return withSite(contents, domain, {
    age: age.map((entry) => (entry.id === id ? { ...entry, retired } : entry)),
  })
}
