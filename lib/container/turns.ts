// Lets the event loop turn while a long file is worked on.
import { setImmediate } from 'node:timers/promises'

const TURN_EVERY_BYTES = 1024 * 1024 // about a millisecond of ChaCha20-Poly1305

/**
 * Returns a function to await after each piece of work. An async generator over bytes in memory waits only on
 * microtasks, and those run before any socket or timer: without a real turn, 25 MB would stop the whole server.
 */
export function createTurns(): (sizeBytes: number) => Promise<void> {
  let sinceTurnBytes = 0
  return async (sizeBytes) => {
    sinceTurnBytes += sizeBytes
    if (sinceTurnBytes < TURN_EVERY_BYTES) return
    sinceTurnBytes = 0
    await setImmediate()
  }
}
