// The files of a file cache: written as a whole, in as few system calls as there can be, for one or two stand in each message's way.
import { randomBytes } from 'node:crypto'
import { writeFile as writeFileWithCallback, type Stats } from 'node:fs'
import { chown, link, open, rename, rm, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { makeOwnDirectory } from '../disk/own-directory.ts'

export interface EntryFiles {
  /** In the place of what was there. */
  write(file: string, text: string): Promise<void>
  /** Of several who try at once one does it. `taken`: there is a file. `unable`: this file system has no links. */
  create(file: string, text: string): Promise<'done' | 'taken' | 'unable'>
}

export interface EntryFilesOptions {
  readonly directory: string
  /** What does not last may after a crash be gone, or empty. What was created a moment ago may still be empty too. */
  readonly lasting: boolean
}

export function createEntryFiles({ directory, lasting }: EntryFilesOptions): EntryFiles {
  const giveToOwner = createGiver(directory)
  const writeNew = (file: string, text: string): Promise<void> =>
    inDirectory(directory, () => (lasting ? writeAndSync : writeOnly)(file, text, giveToOwner))
  /** Under a name of its own: two writers must not remove each other's file. */
  const writeTemporary = async (file: string, text: string): Promise<string> => {
    const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`
    await writeNew(temporary, text).catch((error: unknown) => removeAndThrow(temporary, error))
    return temporary
  }
  return {
    async write(file, text) {
      const temporary = await writeTemporary(file, text)
      await rename(temporary, file).catch((error: unknown) => removeAndThrow(temporary, error))
      if (lasting) await syncDirectory(directory)
    },
    async create(file, text) {
      try {
        if (lasting) await createByLink(file, await writeTemporary(file, text))
        else await writeNew(file, text)
      } catch (error) {
        if (hasCode(error, 'EEXIST')) return 'taken'
        if (lasting && NO_LINKS.some((code) => hasCode(error, code))) return 'unable'
        if (lasting || isOfOpening(error)) throw error
        return removeAndThrow(file, error) // ours, and cut
      }
      if (lasting) await syncDirectory(directory)
      return 'done'
    },
  }
}

async function createByLink(file: string, temporary: string): Promise<void> {
  try {
    await link(temporary, file)
  } finally {
    await rm(temporary, { force: true })
  }
}

async function removeAndThrow(file: string, error: unknown): Promise<never> {
  await rm(file, { force: true })
  throw error
}

const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function isOfOpening(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'open'
}

type Give = (file: string) => Promise<void>

/** Haraka must be able to read what root wrote. */
function createGiver(directory: string): Give {
  let owner: Pick<Stats, 'uid' | 'gid'> | undefined
  return async (file) => {
    if (process.geteuid?.() !== 0) return
    owner ??= await stat(directory)
    if (owner.uid !== 0 || owner.gid !== 0) await chown(file, owner.uid, owner.gid)
  }
}

// That of node:fs/promises makes an object of each file, which takes as long as to write it.
const writeFile = promisify(writeFileWithCallback)

async function writeOnly(file: string, text: string, giveToOwner: Give): Promise<void> {
  await writeFile(file, text, { flag: 'wx', mode: 0o600 })
  await giveToOwner(file)
}

async function writeAndSync(file: string, text: string, giveToOwner: Give): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    await giveToOwner(file)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** It is made with the first entry. */
async function inDirectory(directory: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    await makeOwnDirectory(directory)
    await work()
  }
}

/** The new name itself must survive a power cut. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  await directory.sync().catch(() => {}) // not every file system can
  await directory.close()
}
