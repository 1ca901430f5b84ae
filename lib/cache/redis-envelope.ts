// What stands in Redis: the value and its expiry time as JSON. Redis expires entries too, but by its own clock, and an
// entry that was restored from a backup or written without expiry must not live for ever.
import type { CacheEntry } from './cache.ts'

export function formatEnvelope({ value, expiresAtMs }: CacheEntry): string {
  return JSON.stringify({ v: value, e: expiresAtMs })
}

/** The entry, or `undefined` for rubbish: anyone with access to Redis may have written it. */
export function parseEnvelope(text: string): CacheEntry | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof parsed !== 'object' || parsed === null || !('v' in parsed) || !('e' in parsed)) {
    return undefined
  }
  const { v: value, e: expiresAtMs } = parsed
  if (typeof value !== 'string' || typeof expiresAtMs !== 'number') return undefined
  if (!Number.isFinite(expiresAtMs)) return undefined // 1e999 is JSON
  return { value, expiresAtMs: expiresAtMs + 0 } // and so is -0
}
