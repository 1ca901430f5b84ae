// The vault as an administrator works on it: opened, changed, written back if nobody else wrote it meanwhile.
import { stat } from 'node:fs/promises'
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError, TempError } from '../errors.ts'
import { recordText } from '../services/own-records.ts'
import {
  entriesOf,
  type MasterKeyEntry,
  type MasterKeyScheme,
  type Period,
  type VaultContents,
} from '../vault/contents.ts'
import { readVault, writeVault } from '../vault/vault.ts'
import type { Context } from './context.ts'
import { zoneLine } from './zone-record.ts'

export interface VaultSession {
  readonly file: string
  readonly contents: VaultContents
  /** TempError vault/locked if the file is no longer the one that was read: no key of another administrator gets lost. */
  save(contents: VaultContents, passphrase?: SecretBytes): Promise<void>
}

export async function openVault(context: Context): Promise<VaultSession> {
  const { vaultFile: file, kgc } = context.settings()
  if (kgc)
    throw new PermError('cli/usage', `the master keys are on the KGC ${kgc.url}: do it there`)
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

/** A new generation for a domain: one higher than the highest of its scheme, retired ones included. */
export async function generateEntry(
  context: Context,
  contents: VaultContents,
  domain: string,
  { scheme, period }: { readonly scheme: MasterKeyScheme; readonly period: Period },
): Promise<MasterKeyEntry> {
  const { masterKey, publicKey } = await generateKeys(context, scheme)
  return {
    scheme,
    n: Math.max(0, ...entriesOf(contents, domain, scheme).map((entry) => entry.n)) + 1,
    period: scheme === 'bb2' ? 'none' : period,
    masterKey,
    publicKey: Buffer.from(publicKey).toString('base64'),
    created: new Date(context.clock.nowMs()).toISOString(),
  }
}

async function generateKeys(
  context: Context,
  scheme: MasterKeyScheme,
): Promise<{ readonly masterKey: SecretBytes; readonly publicKey: Uint8Array }> {
  const { ibe, bb2 } = context.services('without-table')
  if (scheme === 'bb2') return bb2.generate()
  const masterKey = await ibe.generateMasterKey()
  return { masterKey, publicKey: await ibe.publicKey(masterKey) }
}

/** The line to publish for a generation. */
export async function zoneLineOf(
  context: Context,
  contents: VaultContents,
  domain: string,
  entry: MasterKeyEntry,
): Promise<string> {
  const { ibe } = context.services('without-table')
  return zoneLine(domain, await recordText(ibe, contents, domain, entry))
}
