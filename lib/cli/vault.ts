// `hisho vault`: the file with the secrets itself.
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { PermError } from '../errors.ts'
import { readPassphrase } from '../vault/passphrase.ts'
import type { Context } from './context.ts'
import { formatKeys, keyRows } from './key-rows.ts'
import { generationRows, stateOf } from './kgc.ts'
import { askNewSecret, isInteractive } from './prompt.ts'
import { formatTable } from './terminal.ts'
import { openVault } from './vault-session.ts'

const NEW_PASSPHRASE_VARIABLE = 'HISHO_NEW_PASSPHRASE'

/** The vault under another passphrase; where Haraka finds it is left to the operator, and said. */
export async function changePassphrase(
  context: Context,
  newPassphraseFile: string | undefined,
): Promise<void> {
  const { terminal } = context
  const vault = await openVault(context)
  const fresh = await newPassphrase(context, newPassphraseFile)
  try {
    if (fresh.bytes.length === 0) throw new PermError('cli/usage', 'the new passphrase is empty')
    if (fresh.equals(await context.passphrase()))
      throw new PermError('cli/usage', 'the new passphrase is the old one')
    await vault.save(vault.contents, fresh)
  } finally {
    fresh.wipe()
  }
  terminal.line(`${vault.file} is sealed under the new passphrase`)
  terminal.line(`Now put the new passphrase where Haraka looks for it: ${sourceOf(context)}.`)
  terminal.line(
    'Until then the running Haraka keeps the keys it has read, and a restarted one defers mail.',
  )
  terminal.line('Copies of the old file still open under the old passphrase.')
}

async function newPassphrase(context: Context, file: string | undefined): Promise<SecretBytes> {
  if (file !== undefined) return readPassphrase({ environment: {}, file })
  const value = context.environment[NEW_PASSPHRASE_VARIABLE]
  if (value) return new SecretBytes(new TextEncoder().encode(value))
  if (isInteractive()) return askNewSecret('New passphrase of the vault: ')
  throw new PermError(
    'cli/usage',
    `no new passphrase: neither --new-passphrase-file nor ${NEW_PASSPHRASE_VARIABLE}, and nobody to ask`,
  )
}

function sourceOf(context: Context): string {
  const { passphraseFile } = context.settings()
  if (context.environment['CREDENTIALS_DIRECTORY']) return 'the systemd credential hisho-passphrase'
  return passphraseFile === ''
    ? 'the credential hisho-passphrase, or the variable HISHO_PASSPHRASE of its unit'
    : passphraseFile
}

export async function listVault(
  context: Context,
  { json, showSecrets }: { readonly json: boolean; readonly showSecrets: boolean },
): Promise<void> {
  const { contents, file } = await openVault(context)
  const keys = [...contents.values()].flatMap((site) =>
    site.ibe.map((entry) => Buffer.from(entry.masterKey.bytes).toString('base64')),
  )
  const rows = generationRows(contents).map((row, at) =>
    showSecrets ? { ...row, masterKey: keys[at] ?? '' } : row,
  )
  const others = keyRows(contents)
  if (json) return context.terminal.json({ file, keys: rows, others })
  const head = ['SITE', 'SCHEME', 'N', 'PERIOD', 'CREATED', 'STATE']
  context.terminal.line(
    formatTable(
      showSecrets ? [...head, 'MASTER KEY'] : head,
      rows.map((row, at) => [
        row.domain,
        row.scheme,
        String(row.n),
        row.period,
        row.created,
        stateOf(row),
        ...(showSecrets ? [keys[at] ?? ''] : []),
      ]),
    ),
  )
  if (others.length > 0) context.terminal.line(`\n${formatKeys(others)}`)
}
