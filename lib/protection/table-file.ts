// config/hisho.yaml on the disk: read at start, read again after each change. A bad edit keeps the last good table.
import { readFileSync, statSync } from 'node:fs'
import type { Clock } from '../clock.ts'
import { HishoError, PermError } from '../errors.ts'
import type { SchemeKind } from '../mail/scheme.ts'
import { parseDomainTable, type DomainTable } from './domain-table.ts'

export interface TableFile {
  /** The table that holds now. */
  current(): DomainTable
}

export interface TableFileOptions {
  readonly file: string
  readonly kinds: readonly SchemeKind[]
  readonly clock: Clock
  readonly log: (level: 'notice' | 'error', message: string) => void
}

const LOOK_AGAIN_MS = 2_000

/** PermError table/malformed if the table is missing or bad at start. */
export function openTableFile({ file, kinds, clock, log }: TableFileOptions): TableFile {
  const read = (): DomainTable => parseDomainTable(readText(file), file, kinds)
  let version = versionOf(file)
  let table = read()
  let lookedAt = clock.nowMs()
  return {
    current() {
      if (clock.nowMs() - lookedAt < LOOK_AGAIN_MS) return table
      lookedAt = clock.nowMs()
      const found = versionOf(file)
      if (found === version) return table
      version = found
      try {
        table = read()
        log('notice', `domain table read again: ${file}`)
      } catch (error) {
        const reason = error instanceof HishoError ? error.message : 'unknown cause'
        log('error', `domain table refused, the last good one stays: ${reason}`)
      }
      return table
    },
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new PermError('table/malformed', `${file}: cannot be read`, { cause: error })
  }
}

function versionOf(file: string): string {
  try {
    const found = statSync(file)
    return `${found.ino}:${found.mtimeMs}:${found.size}`
  } catch {
    return 'none' // why, reading it will tell
  }
}
