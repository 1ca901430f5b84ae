// The directory of held mail: for each an envelope (ID.json) and the message (ID.eml). It exists as soon as its envelope does.
import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../../clock.ts'
import { writeAtomically } from '../../disk/atomic-file.ts'
import { makeOwnDirectory } from '../../disk/own-directory.ts'
import { PermError, TempError } from '../../errors.ts'
import {
  formatHeldMail,
  parseHeldMail,
  REQUESTS,
  type HeldMail,
  type Request,
} from './held-mail.ts'

export type NewMail = Omit<HeldMail, 'id' | 'since' | 'sizeBytes' | 'isAnnounced'>

/** A message that is on the disk, and that nobody knows of yet. */
export interface StagedMail {
  readonly id: string
  /** From now on it is held. TempError haraka/queue, and nothing is. */
  commit(): Promise<void>
  discard(): Promise<void>
}

export interface HeldStore {
  readonly directory: string
  /** TempError haraka/queue, and nothing is left, if it cannot be written. */
  stage(mail: NewMail, message: AsyncIterable<Uint8Array>): Promise<StagedMail>
  /** The oldest first. What cannot be read is told to `log`, and left alone. */
  list(): Promise<readonly HeldMail[]>
  /** PermError cli/usage if there is none. */
  get(id: string): Promise<HeldMail>
  message(id: string): AsyncIterable<Uint8Array>
  update(mail: HeldMail): Promise<void>
  remove(id: string): Promise<void>
  /** For whoever carries it out: the process that looks after the directory. */
  ask(id: string, request: Request): Promise<void>
  requestFor(id: string): Promise<Request | undefined>
  forgetRequest(id: string): Promise<void>
  /** Removes what was left half done, a day ago or more. */
  sweep(): Promise<void>
  /** Names of all that lies there; empty if there is no directory. */
  names(): Promise<readonly string[]>
}

export interface HeldStoreOptions {
  readonly directory: string
  readonly clock: Clock
  readonly log: (level: 'error', message: string) => void
}

const LEFT_BEHIND_MS = 86_400_000
const ID = /^\d{8}-[0-9a-f]{8}$/

export function createHeldStore({ directory, clock, log }: HeldStoreOptions): HeldStore {
  const fileOf = (id: string, end: 'json' | 'eml' | 'ask'): string => {
    if (!ID.test(id))
      throw new PermError('cli/usage', `${JSON.stringify(id)} is no id of held mail`)
    return join(directory, `${id}.${end}`)
  }
  const names = async (): Promise<readonly string[]> => {
    try {
      return await readdir(directory)
    } catch (error) {
      if (isAbsent(error)) return []
      throw error
    }
  }
  const read = async (id: string): Promise<HeldMail | undefined> => {
    try {
      return parseHeldMail(await readFile(fileOf(id, 'json'), 'utf8'))
    } catch (error) {
      if (isAbsent(error)) return undefined
      log('error', `held mail ${id} cannot be read: ${reasonOf(error)}`)
      return undefined
    }
  }
  const write = (mail: HeldMail): Promise<void> =>
    writeAtomically(fileOf(mail.id, 'json'), new TextEncoder().encode(formatHeldMail(mail)), {
      mode: 0o600,
    })
  const remove = async (id: string): Promise<void> => {
    for (const end of ['json', 'ask', 'eml'] as const) await rm(fileOf(id, end), { force: true })
  }

  return {
    directory,
    names,
    async stage(mail, message) {
      const since = new Date(clock.nowMs())
      const day = since.toISOString().slice(0, 10).replaceAll('-', '')
      const id = `${day}-${randomBytes(4).toString('hex')}`
      const file = fileOf(id, 'eml')
      const sizeBytes = await writing(async () => {
        await makeOwnDirectory(directory)
        return writeMessage(file, message)
      })
      return {
        id,
        commit: () =>
          writing(async () => {
            try {
              await write({
                ...mail,
                id,
                since: since.toISOString(),
                sizeBytes,
                isAnnounced: false,
              })
            } catch (error) {
              await remove(id)
              throw error
            }
          }),
        discard: () => remove(id),
      }
    },
    async list() {
      const ids = (await names()).filter((name) => name.endsWith('.json'))
      const all = await Promise.all(
        ids
          .map((name) => name.slice(0, -'.json'.length))
          .filter((id) => ID.test(id))
          .map(read),
      )
      return all
        .flatMap((mail) => mail ?? [])
        .toSorted((one, other) => one.since.localeCompare(other.since))
    },
    async get(id) {
      const mail = await read(id)
      if (!mail) throw new PermError('cli/usage', `there is no held mail ${id}`)
      return mail
    },
    message: (id) => createReadStream(fileOf(id, 'eml')),
    update: write,
    remove,
    ask: (id, request) =>
      writeAtomically(fileOf(id, 'ask'), new TextEncoder().encode(`${request}\n`), { mode: 0o600 }),
    async requestFor(id) {
      try {
        const text = (await readFile(fileOf(id, 'ask'), 'utf8')).trim()
        return REQUESTS.find((request) => request === text)
      } catch (error) {
        if (isAbsent(error)) return undefined
        throw error
      }
    },
    async sweep() {
      const all = await names()
      for (const name of all.filter((one) => /\.(?:eml|ask|tmp)$/.test(one))) {
        if (all.includes(`${name.split('.', 1)[0]}.json`) && !name.endsWith('.tmp')) continue
        const file = join(directory, name)
        const age = clock.nowMs() - ((await stat(file).catch(() => undefined))?.mtimeMs ?? Infinity)
        if (age > LEFT_BEHIND_MS) await rm(file, { force: true })
      }
    },
    forgetRequest: (id) => rm(fileOf(id, 'ask'), { force: true }),
  }
}

/** On the disk when it returns, under its name; its size in octets. */
async function writeMessage(file: string, message: AsyncIterable<Uint8Array>): Promise<number> {
  const temporary = `${file}.tmp`
  try {
    await pipeline(message, createWriteStream(temporary, { flags: 'wx', mode: 0o600, flush: true }))
    const { size } = await stat(temporary)
    await rename(temporary, file)
    const folder = await open(join(file, '..'))
    await folder.sync().catch(() => {}) // not every file system can
    await folder.close()
    return size
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

async function writing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof TempError) throw error
    throw new TempError('haraka/queue', 'the message cannot be held', { cause: error })
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown cause'
}
