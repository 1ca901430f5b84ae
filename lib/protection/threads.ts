// Which messages came encrypted: an answer to one of them must not go in clear. Only hashes of their ids are kept.
import { createHash } from 'node:crypto'
import type { SharedCache } from '../cache/cache.ts'
import { HishoError } from '../errors.ts'
import { fieldsNamed, fieldValue, type Field } from '../mail/header.ts'

export interface Threads {
  /** Of a message that was opened. Never fails: mail that arrives does not wait for this; a failure is logged. */
  remember(fields: readonly Field[]): Promise<void>
  /** Whether one of them did. TempError cache/*. */
  wasEncrypted(messageIds: readonly string[]): Promise<boolean>
  /** Lets go of what is over. */
  sweep(): Promise<void>
}

export interface ThreadsOptions {
  readonly store: SharedCache
  /** 0: nothing is remembered. */
  readonly days: number
  readonly log: (level: 'warn', message: string) => void
  /** Looks through the store, and so lets go of what is over, where the store does not by itself. */
  readonly sweep?: (prefix: string) => Promise<unknown>
}

const PREFIX = 'threads/'
const DAY_SECONDS = 86_400
/** RFC 5322 section 3.6.4 has no limit on References: the last ones are the nearest. */
const MAX_IDS = 50

export function createThreads({ store, days, log, sweep }: ThreadsOptions): Threads {
  const keyOf = (id: string): string => `${PREFIX}${createHash('sha256').update(id).digest('hex')}`
  return {
    async remember(fields) {
      if (days === 0) return
      try {
        for (const id of messageIdsIn(fields, 'message-id').slice(0, 1)) {
          const entry = [keyOf(id), '1', days * DAY_SECONDS] as const
          // To create is cheaper; what is there may be near its end, or was left by a process that died as it wrote.
          if (!(await store.setIfAbsent(...entry))) await store.set(...entry)
        }
      } catch (error) {
        if (!(error instanceof HishoError)) throw error
        log('warn', `an answer to this message may go in clear: ${error.message}`)
      }
    },
    async wasEncrypted(messageIds) {
      if (days === 0) return false
      for (const id of new Set(messageIds.slice(-MAX_IDS)))
        if ((await store.get(keyOf(id))) !== undefined) return true
      return false
    },
    async sweep() {
      await sweep?.(PREFIX)
    },
  }
}

/** What a message says it answers: RFC 5322 section 3.6.4. */
export function answeredIds(fields: readonly Field[]): string[] {
  return [...messageIdsIn(fields, 'references'), ...messageIdsIn(fields, 'in-reply-to')]
}

/** What a report says it is about: in itself, or in the header that it brings back. RFC 8098 section 3.2.6. */
export function reportedIds(bodyStart: Uint8Array): string[] {
  const text = Buffer.from(bodyStart).toString('latin1')
  return [...text.matchAll(/^(?:original-)?message-id[ \t]*:\s*(<[^<>\s]+>)/gim)].flatMap(
    ([, id]) => id ?? [],
  )
}

function messageIdsIn(fields: readonly Field[], name: string): string[] {
  return fieldsNamed(fields, name).flatMap((field) => fieldValue(field).match(/<[^<>\s]+>/g) ?? [])
}
