// Our own CAs as they lie in the vault, and the lists of what they have revoked, for those who check our certificates.
// RFC 5280 section 5.
import type { Clock } from '../clock.ts'
import { publishList, type Authority } from '../smime/ca/authority.ts'
import { readMailKey } from '../smime/ca/mail-key.ts'
import { parseRegister } from '../smime/ca/register.ts'
import type { VaultContents } from '../vault/contents.ts'
import type { KeyRing } from '../vault/key-ring.ts'
import { mailKeysOf, type MailKeyEntry } from '../vault/mail-keys.ts'

export interface OwnAuthority extends Authority {
  /** Under which the vault has it. */
  readonly site: string
  readonly entry: MailKeyEntry
}

export function authoritiesIn(contents: VaultContents): readonly OwnAuthority[] {
  return [...contents.keys()].flatMap((site) =>
    mailKeysOf(contents, site, 'ca').flatMap((entry) => {
      const [certificate] = entry.certificates
      if (certificate === undefined || entry.notes === undefined) return []
      const register = parseRegister(entry.notes)
      return [{ site, entry, certificate, register, key: readMailKey(entry.secret) }]
    }),
  )
}

export interface OwnRevocationLists {
  /** DER, of the CA whose certificates say that its list lies there. undefined: no CA of ours says so. */
  at(host: string, path: string): Promise<Uint8Array | undefined>
}

/** Good beyond a long week-end on which no process of ours runs. */
const LIST_DAYS = 7
/** So old may a list be; what is revoked meanwhile makes a new one at once. */
const RENEWED_MS = 3_600_000

/** A CA of the vault, and its last list. */
interface Publisher {
  readonly authority: OwnAuthority
  last?: { readonly list: Uint8Array; readonly atMs: number }
}

export function createOwnRevocationLists({
  keyRing,
  clock,
}: {
  readonly keyRing: Pick<KeyRing, 'latest'>
  readonly clock: Clock
}): OwnRevocationLists {
  const known = new WeakMap<VaultContents, readonly Publisher[]>()
  // Once for each contents: anybody may ask for lists that are not there.
  const publishersIn = (contents: VaultContents): readonly Publisher[] => {
    const held = known.get(contents)
    if (held) return held
    const publishers = authoritiesIn(contents).map((authority) => ({ authority }))
    known.set(contents, publishers)
    return publishers
  }
  return {
    async at(host, path) {
      const publisher = publishersIn(await keyRing.latest()).find(({ authority }) =>
        isPlace(authority.register.listUrl, host, path),
      )
      if (!publisher) return undefined
      const nowMs = clock.nowMs()
      const { authority, last } = publisher
      if (last && nowMs - last.atMs < RENEWED_MS) return last.list
      const { list } = publishList(authority, { days: LIST_DAYS, nowMs })
      publisher.last = { list, atMs: nowMs }
      return list
    },
  }
}

/** Whatever the port: that of a proxy is not ours. */
function isPlace(url: string | undefined, host: string, path: string): boolean {
  if (url === undefined || !URL.canParse(url)) return false
  const { hostname, pathname, search } = new URL(url)
  return hostname === host && pathname + search === path
}
