// `hisho keys list`: what the vault has for schemes without a directory, without its secrets.
import { createHash } from 'node:crypto'
import { ageKindOf, ageRecipientOf } from '../container/native-keys.ts'
import { ageIdentitiesOf } from '../vault/age-identities.ts'
import type { VaultContents } from '../vault/contents.ts'
import {
  mailKeysOf,
  MAIL_KEY_SECTIONS,
  WHOLE_DOMAIN,
  type MailKeySection,
} from '../vault/mail-keys.ts'
import { sharedKeysOf, type SharedKeyEntry } from '../vault/shared-keys.ts'
import type { Context } from './context.ts'
import { formatTable } from './terminal.ts'
import { openVault } from './vault-session.ts'

export interface KeyRow {
  /** Of a shared key the other domain, of an identity ours. */
  readonly site: string
  readonly scheme: 'shared-key' | 'age' | MailKeySection
  readonly id: string
  readonly created: string
  readonly retired: string | null
  /** Of a shared key. */
  readonly fingerprint?: string
  /** Of an identity: what others seal to. */
  readonly recipient?: string
  /** Of a key of the domain or of one of its users: whose. */
  readonly user?: string
  /** Of such a key, if it has an end. */
  readonly expires?: string
  readonly state: 'newest' | 'opens' | 'superseded' | 'revoked' | 'retired'
}

export async function listKeys(
  context: Context,
  { site, json }: { readonly site: string | undefined; readonly json: boolean },
): Promise<void> {
  const { contents } = await openVault(context)
  const { keyExpiry } = context.services('without-table')
  const ends = new Map(
    (await keyExpiry.of(contents)).map(({ domain, id, expires }) => [`${domain} ${id}`, expires]),
  )
  const rows = keyRows(contents)
    .filter((row) => site === undefined || row.site === site)
    .map((row) => {
      const expires = ends.get(`${row.site} ${row.id}`)
      return expires === undefined ? row : { ...row, expires }
    })
  if (json) return context.terminal.json(rows)
  context.terminal.line(formatKeys(rows))
}

export function keyRows(contents: VaultContents): KeyRow[] {
  return [...contents.keys()].flatMap((site) => [
    ...sharedRows(contents, site),
    ...ageRows(contents, site),
    ...MAIL_KEY_SECTIONS.flatMap((section) => mailRows(contents, site, section)),
  ])
}

/** The newest first; it is the one to send with, unless the table names another. */
export function sharedRows(contents: VaultContents, site: string): KeyRow[] {
  const entries = newestFirst(sharedKeysOf(contents, site))
  return entries.map((entry) => ({
    site,
    scheme: 'shared-key',
    id: entry.id,
    created: entry.created,
    retired: entry.retired ?? null,
    fingerprint: fingerprint(entry),
    state: stateOf(entry, entries),
  }))
}

function ageRows(contents: VaultContents, site: string): KeyRow[] {
  const entries = newestFirst(ageIdentitiesOf(contents, site))
  return entries.map((entry) => ({
    site,
    scheme: 'age',
    id: entry.id,
    created: entry.created,
    retired: entry.retired ?? null,
    recipient: ageRecipientOf(new TextDecoder().decode(entry.identity.bytes)),
    state: stateOf(entry, entries),
  }))
}

/** The newest of each user is the one that signs. */
function mailRows(contents: VaultContents, site: string, scheme: MailKeySection): KeyRow[] {
  const entries = newestFirst(mailKeysOf(contents, site, scheme))
  return entries.map((entry) => {
    const { id, user, created, retired, revoked, superseded } = entry
    const theirs = entries.filter(
      (one) => one.user === user && one.revoked === undefined && one.superseded === undefined,
    )
    const marked =
      revoked !== undefined ? 'revoked' : superseded !== undefined ? 'superseded' : undefined
    const state = retired === undefined && marked ? marked : stateOf(entry, theirs)
    return { site, scheme, id, created, retired: retired ?? null, user, state }
  })
}

interface Dated {
  readonly created: string
  readonly retired?: string
}

function newestFirst<T extends Dated>(entries: readonly T[]): T[] {
  return entries.toSorted((one, other) => (one.created < other.created ? 1 : -1))
}

function stateOf<T extends Dated>(entry: T, sorted: readonly T[]): KeyRow['state'] {
  if (entry.retired !== undefined) return 'retired'
  return entry === sorted.find(({ retired }) => retired === undefined) ? 'newest' : 'opens'
}

export function formatKeys(rows: readonly KeyRow[]): string {
  return formatTable(
    ['SITE', 'SCHEME', 'ID', 'CREATED', 'STATE', 'FINGERPRINT, RECIPIENT, OR WHOSE'],
    rows.map((row) => [
      row.site,
      row.scheme,
      row.id,
      row.created,
      row.state,
      row.fingerprint ??
        (row.user === undefined ? shortRecipient(row.recipient ?? '') : whose(row)),
    ]),
  )
}

function whose({ user, expires }: KeyRow): string {
  const name = user === WHOLE_DOMAIN ? 'the whole domain' : `${user}@`
  return expires === undefined ? name : `${name}, until ${expires.slice(0, 10)}`
}

/** One of the newer kind has two thousand letters: all of them are shown with --json, and by `new`. */
function shortRecipient(recipient: string): string {
  return ageKindOf(recipient) === 'x25519' ? recipient : `${recipient.slice(0, 40)}...`
}

/** To be compared by people: of a random key of 32 bytes it gives nothing away. */
export function fingerprint({ id, key }: SharedKeyEntry): string {
  const hash = createHash('sha256').update(`HISHO-V2-PSK-FINGERPRINT\0${id}\0`).update(key.bytes)
  return hash
    .digest('hex')
    .slice(0, 24)
    .replaceAll(/(.{4})(?!$)/g, '$1 ')
}
