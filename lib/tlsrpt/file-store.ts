// Counts on the disk: a directory for each day, in it a file for each process that is only ever appended to. A batch is
// written at once; a line that a crash has torn is none.
import { appendFileSync, existsSync, mkdirSync } from 'node:fs'
import { access, open, readdir, rm, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { makeOwnDirectory } from '../disk/own-directory.ts'
import { TempError } from '../errors.ts'
import { formatLines, readLines, SHARDS } from './count-lines.ts'
import { isDay, type Day } from './day.ts'
import type { Batch, DayStore, Progress } from './day-store.ts'
import { createFileLedger, type FileLedger } from './file-ledger.ts'

export interface FileStoreOptions {
  /** Made with the first count, for its owner alone. */
  readonly directory: string
  readonly log: (level: 'warn', message: string) => void
  /** Of one process and day; what comes after is refused. Default 1 GiB. */
  readonly maxBytes?: number
}

export interface FileStore extends DayStore {
  /** As `add`, before it returns: for a process that ends. */
  addAtOnce(day: Day, batch: Batch): 'kept' | 'closed'
}

const COUNTS = '.counts'
/** So much of the files is read at a time, as far as memory goes. */
const PART_BYTES = 16 * 2 ** 20
const MAX_FILE_BYTES = 2 ** 30

interface OpenFile {
  readonly day: Day
  readonly handle: FileHandle
  bytes: number
  isTorn: boolean
}

export function createFileStore({
  directory,
  log,
  maxBytes = MAX_FILE_BYTES,
}: FileStoreOptions): FileStore {
  const own = `${process.pid}-${randomUUID()}${COUNTS}`
  const folderOf = (day: Day): string => join(directory, day)
  let current: OpenFile | undefined
  const ledgers = new Map<Day, FileLedger>()

  const fileFor = async (day: Day): Promise<OpenFile> => {
    if (current?.day === day) return current
    await current?.handle.close()
    current = undefined
    await makeOwnDirectory(directory)
    await makeOwnDirectory(folderOf(day))
    const handle = await open(join(folderOf(day), own), 'a', 0o600)
    await syncDirectory(folderOf(day))
    const { size: bytes } = await handle.stat()
    return (current = { day, handle, bytes, isTorn: bytes > 0 })
  }
  const ledgerOf = async (day: Day): Promise<FileLedger> => {
    const held = ledgers.get(day)
    if (held) return held
    await makeOwnDirectory(folderOf(day))
    const made = createFileLedger(join(folderOf(day), 'ledger'))
    ledgers.set(day, made)
    return made
  }
  const filesOf = async (day: Day): Promise<readonly string[]> =>
    (await namesIn(folderOf(day)))
      .filter((name) => name.endsWith(COUNTS))
      .map((name) => join(folderOf(day), name))
  const has = (day: Day, name: string): Promise<boolean> =>
    access(join(folderOf(day), name)).then(
      () => true,
      () => false,
    )
  const put = async (day: Day, name: string): Promise<void> => {
    await makeOwnDirectory(folderOf(day))
    await writeFile(join(folderOf(day), name), '', { mode: 0o600, flush: true })
    await syncDirectory(folderOf(day))
  }

  return {
    add: (day, batch) =>
      reaching(directory, async () => {
        if (await has(day, 'closed')) return 'closed'
        const file = await fileFor(day)
        const lines = `${file.isTorn ? '\n' : ''}${formatLines(batch)}`
        if (file.bytes + lines.length > maxBytes)
          throw new TempError(
            'cache/unreachable',
            `the counts of ${day} have ${file.bytes} bytes: enough`,
          )
        file.isTorn = true
        await file.handle.appendFile(lines)
        await file.handle.datasync()
        file.isTorn = false
        file.bytes += Buffer.byteLength(lines)
        return 'kept'
      }),
    addAtOnce(day, batch) {
      if (existsSync(join(folderOf(day), 'closed'))) return 'closed'
      mkdirSync(folderOf(day), { recursive: true, mode: 0o700 })
      const text = `\n${formatLines(batch)}` // on a line of its own, whatever is being written
      appendFileSync(join(folderOf(day), own), text, { mode: 0o600, flush: true })
      return 'kept'
    },
    days: () =>
      reaching(directory, async () => (await namesIn(directory)).filter(isDay).toSorted()),
    closeDay: (day) => reaching(directory, () => put(day, 'closed')),
    parts: (day) =>
      reaching(directory, async () => {
        const sizes = await Promise.all(
          (await filesOf(day)).map(async (file) => (await stat(file)).size),
        )
        const bytes = sizes.reduce((sum, size) => sum + size, 0)
        let of = 1
        while (of < SHARDS && bytes / of > PART_BYTES) of *= 2
        return of
      }),
    async *read(day, part) {
      for (const file of await reaching(directory, () => filesOf(day))) {
        const torn = (): void => log('warn', `TLSRPT: ${file} has a line that a crash has torn`)
        try {
          yield* readLines(file, part, torn)
        } catch (cause) {
          throw unreachable(file, cause)
        }
      }
    },
    claim: (day, owner, claims, nowMs) =>
      reaching(directory, async () => (await ledgerOf(day)).claim(owner, claims, nowMs)),
    settle: (day, name, state) =>
      reaching(directory, async () => (await ledgerOf(day)).settle(name, state)),
    states: (day) => reaching(directory, async () => (await ledgerOf(day)).states()),
    progress: (day) =>
      reaching(directory, async () => {
        if (await has(day, 'done')) return 'done'
        return (await has(day, 'walked')) ? 'walked' : 'open'
      }),
    setProgress: (day, progress: Progress) =>
      reaching(directory, async () => {
        if (progress !== 'open') await put(day, progress)
      }),
    prune: (before) =>
      reaching(directory, async () => {
        for (const day of (await namesIn(directory)).filter(isDay)) {
          if (day >= before) continue
          await ledgers.get(day)?.close()
          ledgers.delete(day)
          await rm(folderOf(day), { recursive: true, force: true })
        }
      }),
    async close() {
      await current?.handle.close()
      current = undefined
      await Promise.all([...ledgers.values()].map((ledger) => ledger.close()))
      ledgers.clear()
    },
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  await directory.sync().catch(() => {}) // not every file system can
  await directory.close()
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

async function reaching<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw cause instanceof TempError ? cause : unreachable(file, cause)
  }
}

function unreachable(file: string, cause: unknown): TempError {
  const reason = cause instanceof Error ? cause.message : 'unknown failure'
  return new TempError('cache/unreachable', `${file}: ${reason}`, { cause })
}
