// A log that a test can read, and wait for.
import { EventEmitter, once } from 'node:events'
import type { CacheLog } from '../../lib/cache/cache.ts'

export interface TestLog extends CacheLog {
  readonly lines: string[]
  /** Until that many lines are there. */
  reach(count: number): Promise<void>
}

export function createTestLog(): TestLog {
  const lines: string[] = []
  const events = new EventEmitter()
  const add = (line: string): void => {
    lines.push(line)
    events.emit('line')
  }
  return {
    lines,
    info: (message) => add(`info ${message}`),
    warn: (message) => add(`warn ${message}`),
    async reach(count) {
      while (lines.length < count) await once(events, 'line')
    },
  }
}
