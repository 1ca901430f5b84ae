// A directory that only its owner may look into, made when it is first needed.
import { chown, mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Made by root, it belongs to whom the directory above it belongs: Haraka must be able to write there. */
export async function makeOwnDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 })
  if (first === undefined || process.geteuid?.() !== 0) return
  const { uid, gid } = await stat(dirname(path))
  if (uid !== 0 || gid !== 0) await chown(path, uid, gid)
}
