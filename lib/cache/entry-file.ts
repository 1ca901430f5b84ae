// The files of a file cache: written as a whole, in as few system calls as there can be, for one or two stand in each message's way.
import { randomBytes } from 'node:crypto'
import { writeFile as writeFileWithCallback } from 'node:fs'
import { chown, link, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { makeOwnDirectory } from '../disk/own-directory.ts'

export interface EntryFiles {
  /** In the place of what was there. */
  write(file: string, text: string): Promise<void>
  /** Of several who try at once one does it. `taken`: there is a file. `unable`: this file system has no links. */
  create(file: string, text: string): Promise<'done' | 'taken' | 'unable'>
}

/** What survives a power cut. */
export const LASTING: EntryFiles = {
  async write(file, text) {
    const temporary = await writeTemporary(file, text, syncing)
    await moveTo(file, temporary)
    await syncDirectory(file)
  },
  async create(file, text) {
    const temporary = await writeTemporary(file, text, syncing)
    try {
      await link(temporary, file)
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return 'taken'
      if (NO_LINKS.some((code) => hasCode(error, code))) return 'unable'
      throw error
    } finally {
      await rm(temporary, { force: true })
    }
    await syncDirectory(file)
    return 'done'
  },
}

/** What after a crash may be gone, or empty. A file that was created a moment ago may still be empty too. */
export const FLEETING: EntryFiles = {
  async write(file, text) {
    await moveTo(file, await writeTemporary(file, text, writing))
  },
  async create(file, text) {
    try {
      await inDirectory(file, () => writing(file, text))
      return 'done'
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return 'taken'
      if (!isOfOpening(error)) await rm(file, { force: true }) // ours, and cut
      throw error
    }
  },
}

const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function isOfOpening(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'open'
}

type WriteNew = (file: string, text: string) => Promise<void>

// That of node:fs/promises makes an object of each file, which takes as long as to write it.
const writeFile = promisify(writeFileWithCallback)

const writing: WriteNew = async (file, text) => {
  await writeFile(file, text, { flag: 'wx', mode: 0o600 })
  await giveToOwner(file)
}

const syncing: WriteNew = async (file, text) => {
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await giveToOwner(file)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Haraka must be able to read what root wrote. */
async function giveToOwner(file: string): Promise<void> {
  if (process.geteuid?.() !== 0) return
  const { uid, gid } = await stat(dirname(file))
  if (uid !== 0 || gid !== 0) await chown(file, uid, gid)
}

/** Under a name of its own: two writers must not remove each other's file. */
async function writeTemporary(file: string, text: string, writeNew: WriteNew): Promise<string> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await inDirectory(file, () => writeNew(temporary, text))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  return temporary
}

async function moveTo(file: string, temporary: string): Promise<void> {
  try {
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** It is made with the first entry. */
async function inDirectory(file: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    await makeOwnDirectory(dirname(file))
    await work()
  }
}

/** The new name itself must survive a power cut. */
async function syncDirectory(file: string): Promise<void> {
  const directory = await open(dirname(file), 'r')
  await directory.sync().catch(() => {}) // not every file system can
  await directory.close()
}
