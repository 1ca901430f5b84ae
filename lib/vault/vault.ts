// hisho.vault.age: an age file (docs/formats.md section 7) that `age -d` opens without us. Written as a whole or not at all.
import { readFile } from 'node:fs/promises'
import { collect } from '../mail/message.ts'
import { PermError, TempError } from '../errors.ts'
import { open, seal } from '../container/container.ts'
import { scryptIdentity, scryptRecipient } from '../container/scrypt.ts'
import { ageIdentity, ageRecipient, ageRecipientOf } from '../container/native-keys.ts'
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import { writeAtomically } from '../disk/atomic-file.ts'
import { formatContents, parseContents, type VaultContents } from './contents.ts'

/** An `AGE-SECRET-KEY-1...` or `AGE-SECRET-KEY-PQ-1...` in place of a passphrase: the vault is then sealed to that key. */
const AGE_KEY = /^AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]+$/

/** TempError vault/locked: not there, not readable, damaged, or another passphrase. PermError vault/malformed: what is inside. */
export async function readVault(file: string, passphrase: SecretBytes): Promise<VaultContents> {
  let sealed: Buffer
  try {
    sealed = await readFile(file)
  } catch (error) {
    throw new TempError('vault/locked', `${file}: cannot be read`, { cause: error })
  }
  const text = await openVault(sealed, passphrase).catch((error: unknown) => {
    throw new TempError(
      'vault/locked',
      `${file}: the passphrase does not open it, or it is damaged`,
      { cause: error },
    )
  })
  return parseContents(text)
}

async function openVault(sealed: Uint8Array, passphrase: SecretBytes): Promise<string> {
  const key = Buffer.from(passphrase.bytes).toString('latin1')
  const identity = AGE_KEY.test(key) ? ageIdentity(key) : scryptIdentity(passphrase.bytes)
  const { plaintext } = await open([identity], [sealed])
  const bytes = Buffer.from(await collect(plaintext))
  const text = bytes.toString('utf8')
  bytes.fill(0)
  return text
}

/** Replaces the file atomically: a crash leaves the old vault or the new one. Mode 0600. */
export async function writeVault(
  file: string,
  contents: VaultContents,
  passphrase: SecretBytes,
): Promise<void> {
  if (passphrase.bytes.length === 0)
    throw new PermError('vault/malformed', 'passphrase: must not be empty')
  const key = Buffer.from(passphrase.bytes).toString('latin1')
  const recipient = AGE_KEY.test(key)
    ? ageRecipient(ageRecipientOf(key))
    : scryptRecipient(passphrase.bytes)
  const plaintext = new TextEncoder().encode(formatContents(contents))
  const sealed = await collect(seal([recipient], [plaintext]))
  plaintext.fill(0)
  await writeAtomically(file, sealed, { mode: 0o600 })
}
