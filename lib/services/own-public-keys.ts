// The public part of what the vault has for OpenPGP and S/MIME: what others may have of the keys of our domains.
import type { KeyFormat, KeyKind, PublicKey } from '../mail/correspondent-keys.ts'
import { webHashOf } from '../key-directory/names.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import type { VaultContents } from '../vault/contents.ts'
import type { KeyRing } from '../vault/key-ring.ts'
import { mailKeysOf, WHOLE_DOMAIN, type MailKeyEntry } from '../vault/mail-keys.ts'

export interface OwnPublicKeysOptions {
  readonly keyRing: Pick<KeyRing, 'latest'>
  /** Of OpenPGP it reads secret keys too, and gives what is public of them. */
  readonly formats: readonly KeyFormat[]
}

export interface OwnPublicKeys {
  /** That of the user, else that of the domain if it names the address. TempError vault/locked. */
  of(kind: KeyKind, address: string): Promise<PublicKey | undefined>
  /** Of OpenPGP, by the hash of the local part that the Web Key Directory has. */
  byWebHash(domain: string, hash: string): Promise<PublicKey | undefined>
  /** Whether the domain has keys of this kind that are in use. */
  hasAny(kind: KeyKind, domain: string): Promise<boolean>
}

/** By address. */
type Index = ReadonlyMap<string, PublicKey>

export function createOwnPublicKeys({ keyRing, formats }: OwnPublicKeysOptions): OwnPublicKeys {
  const known = new WeakMap<VaultContents, Map<string, Promise<Index>>>()

  const read = async (kind: KeyKind, entry: MailKeyEntry): Promise<readonly PublicKey[]> => {
    const format = formats.find((one) => one.kind === kind)
    if (!format) return []
    if (kind === 'smime') return entry.certificates[0] ? format.read(entry.certificates[0]) : []
    const secret = new SecretBytes(Uint8Array.from(entry.secret.bytes))
    try {
      return await format.read(secret.bytes)
    } finally {
      secret.wipe()
    }
  }
  const makeIndex = async (
    contents: VaultContents,
    kind: KeyKind,
    domain: string,
  ): Promise<Index> => {
    const index = new Map<string, PublicKey>()
    for (const entry of inOrder(mailKeysOf(contents, domain, kind))) {
      for (const key of await read(kind, entry)) {
        const own = key.addresses.filter((address) => address.endsWith(`@${domain}`))
        for (const address of own) if (!index.has(address)) index.set(address, key)
      }
    }
    return index
  }
  /** Made once for each contents of the vault. */
  const indexOf = async (kind: KeyKind, domain: string): Promise<Index> => {
    const contents = await keyRing.latest()
    const indexes = known.get(contents) ?? new Map<string, Promise<Index>>()
    known.set(contents, indexes)
    const id = `${kind}/${domain}`
    const held = indexes.get(id)
    if (held) return held
    const making = makeIndex(contents, kind, domain)
    indexes.set(id, making)
    // A failure is nobody's index.
    making.catch(() => indexes.delete(id))
    return making
  }

  return {
    async of(kind, address) {
      const index = await indexOf(kind, address.slice(address.lastIndexOf('@') + 1))
      return index.get(address)
    },
    async byWebHash(domain, hash) {
      const index = await indexOf('openpgp', domain)
      for (const [address, key] of index) if (webHashOf(address) === hash) return key
      return undefined
    },
    async hasAny(kind, domain) {
      return (await indexOf(kind, domain)).size > 0
    },
  }
}

/** Users' own first, those in use before those that are revoked (which others ought to learn), the newest first. */
function inOrder(entries: readonly MailKeyEntry[]): readonly MailKeyEntry[] {
  const rank = ({ user, revoked }: MailKeyEntry): number =>
    (revoked === undefined ? 0 : 2) + (user === WHOLE_DOMAIN ? 1 : 0)
  return entries
    .filter(({ superseded, retired }) => superseded === undefined && retired === undefined)
    .toSorted((one, other) => rank(one) - rank(other) || (one.created < other.created ? 1 : -1))
}
