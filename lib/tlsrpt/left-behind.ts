// What a process has counted and could not hand on as it ended: a file for each batch, for the next process of this machine.
// For a store that cannot be written to without waiting.
import { mkdirSync, writeFileSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { packCount, unpackCount } from './count.ts'
import { isDay, type Day } from './day.ts'
import type { Batch } from './day-store.ts'

export interface LeftBatch {
  readonly day: Day
  readonly batch: Batch
  /** Once the store has it. */
  forget(): Promise<void>
}

export interface LeftBehind {
  write(day: Day, batch: Batch): void
  /** Another process may take the same ones: a store counts a batch once. */
  read(): Promise<readonly LeftBatch[]>
}

const ENDING = '.left'

export function createLeftBehind(directory: string): LeftBehind {
  return {
    write(day, { id, counts }) {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      const text = JSON.stringify([day, id, counts.map(packCount)])
      writeFileSync(join(directory, `${id}${ENDING}`), text, { mode: 0o600, flush: true })
    },
    async read() {
      // No directory: nothing was ever left.
      const names = await readdir(directory).catch(() => [])
      const files = names
        .filter((name) => name.endsWith(ENDING))
        .map((name) => join(directory, name))
      const read = await Promise.all(
        files.map(async (file) => {
          // Taken by another process meanwhile.
          const left = parseLeft(await readFile(file, 'utf8').catch(() => ''))
          return left && { ...left, forget: () => rm(file, { force: true }) }
        }),
      )
      return read.filter((one) => one !== undefined)
    },
  }
}

/** undefined: nothing of ours, or torn. */
function parseLeft(text: string): { day: Day; batch: Batch } | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!Array.isArray(parsed)) return undefined
  const [day, id, counts] = parsed as unknown[]
  if (typeof day !== 'string' || !isDay(day) || typeof id !== 'string' || !Array.isArray(counts))
    return undefined
  return { day, batch: { id, counts: counts.map(unpackCount).filter((one) => one !== undefined) } }
}
