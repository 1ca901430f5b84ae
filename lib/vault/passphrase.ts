// Where the administrator's passphrase comes from, docs/formats.md section 7: a systemd credential, a file that only
// its owner reads, or an environment variable, in that order.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { TempError } from '../errors.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'

const CREDENTIAL = 'hisho-passphrase'
export const PASSPHRASE_VARIABLE = 'HISHO_PASSPHRASE'

export interface PassphraseSources {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** From the ini; '' or undefined: none. */
  readonly file?: string | undefined
}

/** TempError vault/locked if no source gives one, or if the file can be read by others. */
export async function readPassphrase({
  environment,
  file,
}: PassphraseSources): Promise<SecretBytes> {
  const directory = environment['CREDENTIALS_DIRECTORY']
  if (directory) {
    const credential = await readFile(join(directory, CREDENTIAL)).catch(() => undefined)
    if (credential) return trimmed(credential)
  }
  if (file) return trimmed(await readPrivateFile(file))
  const value = environment[PASSPHRASE_VARIABLE]
  if (value) return trimmed(Buffer.from(value))
  throw new TempError(
    'vault/locked',
    `no passphrase: neither the credential ${CREDENTIAL}, nor a passphrase_file, nor ${PASSPHRASE_VARIABLE}`,
  )
}

/** Reads a file that must be the owner's alone (mode 0600 or less). */
async function readPrivateFile(file: string): Promise<Buffer> {
  try {
    const { mode } = await stat(file)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new TempError('vault/locked', `${file}: others may read it; its mode must be 0600`)
    }
    return await readFile(file)
  } catch (error) {
    if (error instanceof TempError) throw error
    throw new TempError('vault/locked', `${file}: cannot be read`, { cause: error })
  }
}

function trimmed(bytes: Buffer): SecretBytes {
  let end = bytes.length
  while (end > 0 && (bytes[end - 1] === 0x0a || bytes[end - 1] === 0x0d)) end--
  const secret = new SecretBytes(Uint8Array.prototype.slice.call(bytes, 0, end))
  bytes.fill(0)
  return secret
}
