// `hisho keys`: what we share with other sites. docs/shared-key.md.
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'
import { collect } from '../mail/message.ts'
import { isKeyId } from '../vault/entry.ts'
import {
  sharedKeysOf,
  withRetiredKey,
  withSharedKey,
  type SharedKeyEntry,
} from '../vault/shared-keys.ts'
import type { Context } from './context.ts'
import {
  carries,
  carry,
  checkCarry,
  unpack,
  type CarryOptions,
  type ReceiveOptions,
} from './key-carrier.ts'
import { fingerprint, sharedRows } from './key-rows.ts'
import { askYes, isInteractive } from './prompt.ts'
import { openVault } from './vault-session.ts'

const KEY_BYTES = 32
const ID_BYTES = 6

export interface NewKeyOptions {
  readonly site: string
  /** Undefined: the day and something random. */
  readonly id: string | undefined
  readonly carriage: CarryOptions
}

export async function newSharedKey(
  context: Context,
  { site, id, carriage }: NewKeyOptions,
): Promise<void> {
  const { terminal } = context
  checkCarry(carriage)
  const vault = await openVault(context)
  const created = new Date(context.clock.nowMs()).toISOString()
  const entry: SharedKeyEntry = {
    id: id === undefined ? freshId(created) : checkedId(id),
    key: new SecretBytes(Uint8Array.from(randomBytes(KEY_BYTES))),
    created,
  }
  const isFirst = !sharedKeysOf(vault.contents, site).some(({ retired }) => retired === undefined)
  await vault.save(withSharedKey(vault.contents, site, entry))
  terminal.note(`shared key ${entry.id} of ${site} is in the vault: ${fingerprint(entry)}`)
  if (carries(carriage)) await carry(context, entry, carriage)
  else
    terminal.line(
      `For the other side: hisho keys export --shared ${site} --id ${entry.id} --to age1...`,
    )
  terminal.note(
    isFirst
      ? `Then, in hisho.yaml: ${site}: { encrypt: required, scheme: shared-key }`
      : `It is the one to send with from now on. Until they have imported it, mail to them waits; "key: ID" in hisho.yaml keeps the old one in use.`,
  )
}

export interface NamedKey {
  readonly site: string
  readonly id: string
}

export async function exportSharedKey(
  context: Context,
  { site, id }: NamedKey,
  carriage: CarryOptions,
): Promise<void> {
  checkCarry(carriage)
  if (!carries(carriage))
    throw new PermError('cli/usage', 'how: --to, --passphrase, --passphrase-file or --show')
  const { contents } = await openVault(context)
  const entry = sharedKeysOf(contents, site).find((known) => known.id === id)
  if (!entry) throw new PermError('cli/usage', `the vault has no shared key ${id} of ${site}`)
  await carry(context, entry, carriage)
}

export interface ImportOptions extends ReceiveOptions {
  readonly site: string
  /** A file's name, or `-` for stdin. */
  readonly file: string
}

export async function importSharedKey(
  context: Context,
  { site, file, ...how }: ImportOptions,
): Promise<void> {
  const bytes = file === '-' ? await collect(process.stdin) : await readFile(file)
  const entry = await unpack(context, bytes, how)
  if (entry.retired !== undefined)
    throw new PermError('cli/usage', `${entry.id} was retired on ${entry.retired}`)
  const vault = await openVault(context)
  await vault.save(withSharedKey(vault.contents, site, entry))
  const { terminal } = context
  terminal.line(`shared key ${entry.id} of ${site} is in the vault: ${fingerprint(entry)}`)
  terminal.line(
    'Is that what the other side sees (hisho keys list)? Ask by telephone, not by mail.',
  )
}

export async function retireSharedKey(
  context: Context,
  { site, id }: NamedKey,
  { yes }: { readonly yes: boolean },
): Promise<void> {
  const vault = await openVault(context)
  const retired = new Date(context.clock.nowMs()).toISOString()
  const contents = withRetiredKey(vault.contents, site, id, retired)
  const rest = sharedRows(contents, site).filter((row) => row.retired === null)
  if (!yes) await confirm(`Retire ${id}? ${fate(site, rest.length)}`)
  await vault.save(contents)
  context.terminal.line(`shared key ${id} of ${site} is retired. ${fate(site, rest.length)}`)
}

function fate(site: string, left: number): string {
  const rest = left === 0 ? `Without another key nothing goes to ${site} by this scheme. ` : ''
  return `${rest}What is under way under it does not open here any more, and goes back to its senders.`
}

export async function confirm(question: string): Promise<void> {
  if (!isInteractive())
    throw new PermError('cli/usage', `${question} There is nobody to ask: say --yes`)
  if (!(await askYes(question))) throw new PermError('cli/usage', 'not retired')
}

export function checkedId(id: string): string {
  if (isKeyId(id)) return id
  throw new PermError('cli/usage', 'a key id is 1 to 64 letters, digits, and . _ - between them')
}

/** The day and something random. */
export function freshId(created: string): string {
  return `${created.slice(0, 10)}-${randomBytes(ID_BYTES).toString('hex')}`
}
