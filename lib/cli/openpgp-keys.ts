// `hisho keys ... --openpgp`: secret keys of our own domains and users for OpenPGP. docs/openpgp.md.
import { readFile } from 'node:fs/promises'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { writeAtomically } from '../disk/atomic-file.ts'
import { PermError } from '../errors.ts'
import { collect } from '../mail/message.ts'
import { writeArmor } from '../openpgp/armor.ts'
import type { CertificateFacts } from '../openpgp/certificates.ts'
import type { OpenPgpPool } from '../openpgp/openpgp.ts'
import type { KeyType } from '../openpgp/key-types.ts'
import {
  mailKeysOf,
  WHOLE_DOMAIN,
  withChangedMailKey,
  withMailKey,
  type MailKeyEntry,
} from '../vault/mail-keys.ts'
import type { Context } from './context.ts'
import { confirm } from './keys.ts'
import { passphraseOfFile } from './key-carrier.ts'
import { openVault, type VaultSession } from './vault-session.ts'

const SECTION = 'openpgp'

/** Whose key: that of the whole domain, or a user's. */
export interface Owner {
  readonly domain: string
  readonly user?: string
}

/** One of several: by default the newest that is in use. */
export interface NamedOwner extends Owner {
  readonly id?: string
}

export async function newOpenPgpKey(
  context: Context,
  owner: Owner,
  { type, expiresSeconds }: { readonly type: KeyType; readonly expiresSeconds: number },
): Promise<void> {
  const pool = poolOf(context)
  const vault = await openVault(context)
  const { address, name } = userIdOf(context, owner)
  const secret = await pool.run('generate', { type, name, address, expiresSeconds })
  await keep(context, vault, owner, secret)
}

export async function importOpenPgpKey(
  context: Context,
  owner: Owner,
  { file, passphraseFile }: { readonly file: string; readonly passphraseFile?: string },
): Promise<void> {
  const given = file === '-' ? await collect(process.stdin) : await readFile(file)
  const vault = await openVault(context)
  await keep(context, vault, owner, await unlocked(context, given, passphraseFile))
}

/** The passphrase is asked for only where there is one. */
async function unlocked(
  context: Context,
  secretKey: Uint8Array,
  passphraseFile: string | undefined,
): Promise<Uint8Array> {
  const pool = poolOf(context)
  if (!(await pool.run('isLocked', { secretKey }))) {
    return pool.run('unlock', { secretKey, passphrase: '' })
  }
  const asked = await passphraseOfFile(context, passphraseFile)
  return pool.run('unlock', { secretKey, passphrase: Buffer.from(asked).toString('utf8') })
}

async function keep(
  context: Context,
  vault: VaultSession,
  owner: Owner,
  secret: Uint8Array,
): Promise<void> {
  const facts = await factsOf(poolOf(context), secret)
  const entry: MailKeyEntry = {
    id: facts.fingerprint,
    user: userOf(owner),
    secret: new SecretBytes(Uint8Array.from(secret)),
    certificates: [],
    created: new Date(context.clock.nowMs()).toISOString(),
  }
  secret.fill(0)
  await vault.save(withMailKey(vault.contents, owner.domain, SECTION, entry))
  const { terminal } = context
  terminal.note(`OpenPGP key ${entry.id} of ${whose(owner)} is in the vault${endText(facts)}.`)
  terminal.note('Its public half, for the others:')
  await writeBlock(context, facts.certificate)
}

export async function exportOpenPgpKey(
  context: Context,
  owner: NamedOwner,
  { secret = false, out }: { readonly secret?: boolean; readonly out?: string },
): Promise<void> {
  const { contents } = await openVault(context)
  const entry = find(mailKeysOf(contents, owner.domain, SECTION), owner)
  if (secret) {
    context.terminal.note('This is the secret key, without a passphrase. Let nobody else see it.')
    return writeBlock(context, entry.secret.bytes, { out, type: 'PRIVATE KEY BLOCK' })
  }
  const { certificate } = await factsOf(poolOf(context), entry.secret.bytes)
  await writeBlock(context, certificate, { out })
}

export async function renewOpenPgpKey(
  context: Context,
  owner: NamedOwner,
  expiresSeconds: number,
): Promise<void> {
  const pool = poolOf(context)
  const vault = await openVault(context)
  const entry = find(mailKeysOf(vault.contents, owner.domain, SECTION), owner)
  const secret = await pool.run('renew', { secretKey: entry.secret.bytes, expiresSeconds })
  const facts = await change(context, vault, owner, { ...entry, secret: new SecretBytes(secret) })
  context.terminal.note(
    `OpenPGP key ${entry.id} of ${whose(owner)}: the same key${endText(facts)}.`,
  )
  context.terminal.note('The others need its public half again:')
  await writeBlock(context, facts.certificate)
}

export async function revokeOpenPgpKey(
  context: Context,
  owner: NamedOwner,
  { reason, yes }: { readonly reason: 'retired' | 'compromised'; readonly yes: boolean },
): Promise<void> {
  const pool = poolOf(context)
  const vault = await openVault(context)
  const entry = find(mailKeysOf(vault.contents, owner.domain, SECTION), owner)
  if (entry.revoked !== undefined)
    throw new PermError('cli/usage', `${entry.id} was revoked on ${entry.revoked}`)
  if (!yes)
    await confirm(`Revoke ${entry.id} of ${whose(owner)}? Nobody is to seal for it from then on.`)
  const secret = await pool.run('revoke', { secretKey: entry.secret.bytes, reason })
  const facts = await change(context, vault, owner, {
    ...entry,
    secret: new SecretBytes(secret),
    revoked: new Date(context.clock.nowMs()).toISOString(),
  })
  context.terminal.note(
    `OpenPGP key ${entry.id} of ${whose(owner)} is revoked. It still opens mail.`,
  )
  context.terminal.note('The others learn it from this, its public half with the revocation:')
  await writeBlock(context, facts.certificate)
}

export async function retireOpenPgpKey(
  context: Context,
  owner: NamedOwner,
  { yes }: { readonly yes: boolean },
): Promise<void> {
  if (owner.id === undefined) throw new PermError('cli/usage', 'which one: --id')
  const vault = await openVault(context)
  const entry = find(mailKeysOf(vault.contents, owner.domain, SECTION), owner)
  if (!yes) await confirm(`Retire ${entry.id}? What is sealed for it does not open any more.`)
  const retired = new Date(context.clock.nowMs()).toISOString()
  await vault.save(withChangedMailKey(vault.contents, owner.domain, SECTION, { ...entry, retired }))
  context.terminal.line(`OpenPGP key ${entry.id} of ${whose(owner)} is retired.`)
}

function poolOf(context: Context): OpenPgpPool {
  return context.services('without-table').openPgpPool
}

async function change(
  context: Context,
  vault: VaultSession,
  { domain }: Owner,
  entry: MailKeyEntry,
): Promise<CertificateFacts> {
  const facts = await factsOf(poolOf(context), entry.secret.bytes)
  await vault.save(withChangedMailKey(vault.contents, domain, SECTION, entry))
  return facts
}

async function factsOf(pool: OpenPgpPool, secret: Uint8Array): Promise<CertificateFacts> {
  const { found } = await pool.run('readKeys', { keys: secret })
  const [facts] = found
  if (!facts) throw new PermError('openpgp/key', 'the key cannot be read')
  return facts
}

function find(entries: readonly MailKeyEntry[], owner: NamedOwner): MailKeyEntry {
  const theirs = entries
    .filter(({ user }) => user === userOf(owner))
    .toSorted((one, other) => (one.created < other.created ? 1 : -1))
  const { id } = owner
  const found =
    id === undefined
      ? theirs.find((entry) => !entry.retired && !entry.revoked && !entry.superseded)
      : theirs.find((entry) => entry.id === id.toLowerCase())
  if (found) return found
  const which = id === undefined ? 'that is in use' : id
  throw new PermError('cli/usage', `the vault has no OpenPGP key of ${whose(owner)} ${which}`)
}

function userOf({ user }: Owner): string {
  return user === undefined ? WHOLE_DOMAIN : user.toLowerCase()
}

function whose({ domain, user }: Owner): string {
  return user === undefined ? domain : `${user}@${domain}`
}

/** A key of the whole domain is of no address: `*` is none. */
function userIdOf(
  context: Context,
  owner: Owner,
): { readonly address: string; readonly name: string } {
  const { domain, user } = owner
  if (user === undefined) return { address: `${WHOLE_DOMAIN}@${domain}`, name: domain }
  const address = context.services('without-table').normalizeAddress(`${user}@${domain}`)
  return { address, name: '' }
}

function endText({ expires }: CertificateFacts): string {
  return expires === undefined ? ', without an end' : `, until ${expires.slice(0, 10)}`
}

async function writeBlock(
  { terminal }: Context,
  bytes: Uint8Array,
  {
    out,
    type = 'PUBLIC KEY BLOCK',
  }: {
    readonly out?: string | undefined
    readonly type?: 'PUBLIC KEY BLOCK' | 'PRIVATE KEY BLOCK'
  } = {},
): Promise<void> {
  const text = Buffer.concat([...writeArmor(type, bytes)])
    .toString('latin1')
    .replaceAll('\r\n', '\n')
  if (out === undefined) return terminal.write(Buffer.from(text, 'latin1'))
  await writeAtomically(out, Buffer.from(text, 'latin1'), { mode: 0o600 })
  terminal.note(out)
}
