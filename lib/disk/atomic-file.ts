// A file that is replaced as a whole or not at all, and that stays its owner's.
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface WriteOptions {
  readonly mode: number
  readonly keepMode?: boolean
  readonly lasting?: boolean
}

/**
 * A crash leaves the old file or the new one. `mode` is for a new file, or for every write with `keepMode: false`.
 * `lasting: false`: after a power cut it may be gone, or empty. Written by root, it belongs to whom the old file or the directory belongs: Haraka must be able to read it.
 */
export async function writeAtomically(
  path: string,
  bytes: Uint8Array,
  { mode, keepMode = false, lasting = true }: WriteOptions,
): Promise<void> {
  const file = await realpath(path).catch(() => path) // a link stays a link
  // A name of its own: two writers must not remove each other's file.
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const handle = await open(
      temporary,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
      0o600,
    )
    try {
      const old = await stat(file).catch(() => undefined)
      await handle.writeFile(bytes)
      await giveToOwner(handle, file)
      await handle.chmod(keepMode && old ? old.mode & 0o777 : mode)
      if (lasting) await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  if (!lasting) return
  // The new name itself must survive a power cut.
  const directory = await open(dirname(file), constants.O_RDONLY)
  await directory.sync().catch(() => {}) // not every file system can
  await directory.close()
}

async function giveToOwner(handle: FileHandle, file: string): Promise<void> {
  if (process.geteuid?.() !== 0) return
  const model = await stat(file).catch(() => stat(dirname(file)))
  if (model.uid !== 0 || model.gid !== 0) await handle.chown(model.uid, model.gid)
}
