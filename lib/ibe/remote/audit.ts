// The KGC's audit log: a line of JSON for each key that is given out and each request that is refused. Never a key.
import { appendFile } from 'node:fs/promises'
import type { Clock } from '../../clock.ts'
import type { KeyScheme } from '../key-source.ts'
import type { Refusal } from './protocol.ts'

export interface AuditEntry {
  /** As the list of gateways has it; undefined: not on it. */
  readonly gateway: string | undefined
  /** SHA-256 of the gateway's certificate, hexadecimal. */
  readonly certificate: string
  readonly scheme?: KeyScheme
  readonly domain?: string
  readonly n?: number
  readonly identity?: string
  readonly outcome: 'issued' | Refusal
}

export interface AuditLog {
  /** Rejects if the line is not in the file. */
  write(entry: AuditEntry): Promise<void>
}

/** Opened for each line: a file that was moved away (logrotate) or removed is begun anew. Mode 0600: it names people. */
export function createAuditLog(file: string, clock: Clock): AuditLog {
  let torn = false // a full disk may have taken half a line
  let last: Promise<void> = Promise.resolve()
  const append = async (line: string): Promise<void> => {
    const text = torn ? `\n${line}` : line
    torn = true
    await appendFile(file, text, { mode: 0o600 })
    torn = false
  }
  return {
    write(entry) {
      const { gateway = null, ...rest } = entry
      const line = `${JSON.stringify({ time: new Date(clock.nowMs()).toISOString(), gateway, ...rest })}\n`
      const written = last.then(() => append(line))
      last = written.catch(() => {}) // the failure is this caller's, the next one tries again
      return written
    },
  }
}
