// `hisho ca p12`: a certificate with its key for a user's mail program.
import { randomInt } from 'node:crypto'
import { writeAtomically } from '../disk/atomic-file.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'
import { mailKeysOf, WHOLE_DOMAIN } from '../vault/mail-keys.ts'
import { issuedBy } from './ca-session.ts'
import type { Context } from './context.ts'
import { givenPassphrase } from './key-carrier.ts'
import { openVault } from './vault-session.ts'

/** No letters that are taken for others. */
const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789'
const GROUPS = 5
const GROUP_LETTERS = 5 // 125 bits in all

export interface P12Options {
  readonly id: string
  readonly out: string
  readonly passphraseFile: string | undefined
}

export async function exportPkcs12(
  context: Context,
  { id: prefix, out, passphraseFile }: P12Options,
): Promise<void> {
  const { contents } = await openVault(context)
  const { issued } = issuedBy(contents, prefix)
  const { id, domain, user } = issued
  const entry = mailKeysOf(contents, domain, 'smime').find((one) => one.id === id)
  if (entry === undefined) throw new PermError('cli/usage', `the vault has no key of ${id}`)
  const given = await givenPassphrase(context, passphraseFile)
  const passphrase = given ?? newPassphrase()
  const name = user === WHOLE_DOMAIN ? domain : `${user}@${domain}`
  const { formatPkcs12 } = await import('../smime/ca/pkcs12.ts') // pkijs takes a while to load
  await writeAtomically(out, await formatPkcs12(entry, name, passphrase), { mode: 0o600 })
  const { terminal } = context
  terminal.note(`${out}: the certificate and the key of ${name}. Its passphrase goes another way.`)
  if (given === undefined) terminal.line(Buffer.from(passphrase.bytes).toString('latin1'))
  passphrase.wipe()
}

function newPassphrase(): SecretBytes {
  const letter = (): string => LETTERS[randomInt(LETTERS.length)] ?? ''
  const group = (): string => Array.from({ length: GROUP_LETTERS }, letter).join('')
  const text = Array.from({ length: GROUPS }, group).join('-')
  return new SecretBytes(new TextEncoder().encode(text))
}
