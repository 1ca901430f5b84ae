// The files of a file cache: written as a whole, in as few system calls as there can be, for one or two stand in each message's way.
import { randomBytes } from 'node:crypto'
import { link, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeOwnDirectory } from '../disk/own-directory.ts'

interface Writing {
  readonly lasting: boolean
}

/** In the place of what was there. */
export async function writeEntry(file: string, text: string, { lasting }: Writing): Promise<void> {
  const temporary = await writeTemporary(file, text, lasting)
  try {
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  if (lasting) await syncDirectory(file)
}

/** `taken`: there is a file. `unable`: this file system has no links. Of several who try at once one does it. */
export async function linkEntry(
  file: string,
  text: string,
  { lasting }: Writing,
): Promise<'done' | 'taken' | 'unable'> {
  const temporary = await writeTemporary(file, text, lasting)
  try {
    await link(temporary, file)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return 'taken'
    if (NO_LINKS.some((code) => hasCode(error, code))) return 'unable'
    throw error
  } finally {
    await rm(temporary, { force: true })
  }
  if (lasting) await syncDirectory(file)
  return 'done'
}

const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

async function writeTemporary(file: string, text: string, lasting: boolean): Promise<string> {
  // A name of its own: two writers must not remove each other's file.
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
  const handle = await openNew(temporary)
  try {
    await handle.writeFile(text)
    if (process.geteuid?.() === 0) {
      const { uid, gid } = await stat(dirname(file)) // Haraka must be able to read what root wrote
      if (uid !== 0 || gid !== 0) await handle.chown(uid, gid)
    }
    if (lasting) await handle.sync()
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  } finally {
    await handle.close()
  }
  return temporary
}

/** The directory is made with the first entry. */
async function openNew(path: string): ReturnType<typeof open> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    await makeOwnDirectory(dirname(path))
    return open(path, 'wx', 0o600)
  }
}

/** The new name itself must survive a power cut. */
async function syncDirectory(file: string): Promise<void> {
  const directory = await open(dirname(file), 'r')
  await directory.sync().catch(() => {}) // not every file system can
  await directory.close()
}
