// The vault as an administrator works on it: opened, changed, written back if nobody else wrote it meanwhile.
import { stat } from 'node:fs/promises'
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import { TempError } from '../errors.ts'
import {
  entriesOf,
  type MasterKeyEntry,
  type Period,
  type VaultContents,
} from '../vault/contents.ts'
import { readVault, writeVault } from '../vault/vault.ts'
import type { Context } from './context.ts'

export interface VaultSession {
  readonly file: string
  readonly contents: VaultContents
  /** TempError vault/locked if the file is no longer the one that was read: no key of another administrator gets lost. */
  save(contents: VaultContents, passphrase?: SecretBytes): Promise<void>
}

export async function openVault(context: Context): Promise<VaultSession> {
  const file = context.settings().vaultFile
  const passphrase = await context.passphrase()
  context.terminal.progress('opening the vault (takes about a second)')
  const version = await versionOf(file)
  const contents = await readVault(file, passphrase)
  return {
    file,
    contents,
    save: async (changed, newPassphrase = passphrase) => {
      if ((await versionOf(file)) !== version)
        throw new TempError('vault/locked', `${file}: somebody else wrote it meanwhile; run again`)
      context.terminal.progress('writing the vault')
      await writeVault(file, changed, newPassphrase)
    },
  }
}

/** Undefined while the file does not exist. */
async function versionOf(file: string): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined)
  return found && `${found.ino}:${found.mtimeMs}:${found.size}`
}

/** A new generation for a domain: one higher than the highest, retired ones included. */
export async function generateEntry(
  context: Context,
  contents: VaultContents,
  domain: string,
  { scheme, period }: { readonly scheme: 'bf' | 'cc'; readonly period: Period },
): Promise<MasterKeyEntry> {
  const { ibe } = context.services('without-table')
  const masterKey = await ibe.generateMasterKey()
  const publicKey = Buffer.from(await ibe.publicKey(masterKey)).toString('base64')
  return {
    scheme,
    n: Math.max(0, ...entriesOf(contents, domain, scheme).map((entry) => entry.n)) + 1,
    period,
    masterKey,
    publicKey,
    created: new Date(context.clock.nowMs()).toISOString(),
  }
}
