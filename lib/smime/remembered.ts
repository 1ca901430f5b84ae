// What was made of some bytes, kept for when they come again: those that were used last.
import { createHash } from 'node:crypto'

/** Only for what the bytes alone decide: nothing of it is ever made anew because of the time. What throws is not kept. */
export function remembered<T>(
  make: (bytes: Uint8Array) => T,
  most: number,
): (bytes: Uint8Array) => T {
  const held = new Map<string, T>()
  return (bytes) => {
    const name = createHash('sha256').update(bytes).digest('base64')
    const value = held.get(name) ?? make(bytes)
    held.delete(name) // and to the end
    held.set(name, value)
    for (const [oldest] of held) {
      if (held.size <= most) break
      held.delete(oldest)
    }
    return value
  }
}
