// Files that `init` lays down, and only where there is none.
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeAtomically } from '../disk/atomic-file.ts'
import { packageRoot } from './haraka-directory.ts'

export type FileOutcome = 'written' | 'kept' | 'changed'

export const PASSPHRASE_FILE = 'hisho.passphrase'
const PASSPHRASE_BYTES = 24 // 192 bits

export async function writeIfAbsent(
  file: string,
  text: () => string | Promise<string>,
  mode: number,
): Promise<FileOutcome> {
  if (existsSync(file)) return 'kept'
  await writeAtomically(file, new TextEncoder().encode(await text()), { mode })
  return 'written'
}

/** The package's own version of a file in config/, with every key explained. */
export function packagedText(name: string): Promise<string> {
  return readFile(join(packageRoot, 'config', name), 'utf8')
}

export function newPassphrase(): string {
  return `${randomBytes(PASSPHRASE_BYTES).toString('base64url')}\n`
}
