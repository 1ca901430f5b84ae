// Secrets that cost a pairing or a multiplication, kept for a while: in memory only, bounded in number, age and use,
// wiped when they leave.
import type { Clock } from '../clock.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'

/** A secret with what may be known of it: for a sender's KEK, its encapsulation. */
export interface Held<Open> {
  readonly secret: SecretBytes
  readonly open: Open
}

export interface KekCacheLimits {
  readonly maxEntries: number
  readonly maxAgeMs: number
  /** How often a secret is given out before another takes its place. */
  readonly maxUses: number
}

export interface KekCache<Open> {
  /**
   * What is held under the name, or what `make` gives. Requests at the same time share one `make`; its failure is
   * everybody's and is not kept. The secret is a copy: the caller wipes it.
   */
  take(name: string, make: () => Promise<Held<Open>>): Promise<Held<Open>>
  /** Wipes what is past its age. */
  sweep(): void
  /** Wipes all, and keeps nothing of what is being made now. */
  clear(): void
  readonly size: number
  /** How often a secret was there, and how often one had to be made. */
  readonly hits: number
  readonly misses: number
}

interface Entry<Open> extends Held<Open> {
  readonly madeAtMs: number
  uses: number
}

export function createKekCache<Open>(clock: Clock, limits: KekCacheLimits): KekCache<Open> {
  const entries = new Map<string, Entry<Open>>()
  const flights = new Map<string, Promise<unknown>>()
  let generation = 0
  let hits = 0
  let misses = 0

  const drop = (name: string): void => {
    entries.get(name)?.secret.wipe()
    entries.delete(name)
  }
  const isUsable = (entry: Entry<Open>): boolean => {
    const age = clock.nowMs() - entry.madeAtMs // below zero after the clock was set back
    return age >= 0 && age < limits.maxAgeMs && entry.uses < limits.maxUses
  }
  /** A copy of what is held, counted as a use and as the latest one. */
  const use = (name: string): Held<Open> | undefined => {
    const entry = entries.get(name)
    if (entry === undefined) return undefined
    if (!isUsable(entry)) {
      drop(name)
      return undefined
    }
    entry.uses++
    entries.delete(name)
    entries.set(name, entry)
    return { secret: entry.secret.copy(), open: entry.open }
  }
  const keep = (name: string, entry: Entry<Open>): void => {
    drop(name)
    entries.set(name, entry)
    const [oldest] = entries.keys()
    if (entries.size > limits.maxEntries && oldest !== undefined) drop(oldest)
  }
  /** Makes the secret for this caller, who has a copy whatever becomes of the one that is kept. */
  const make = async (name: string, source: () => Promise<Held<Open>>): Promise<Held<Open>> => {
    const madeAtMs = clock.nowMs() // before the work: an age counts from here
    const ours = generation
    const made = await source()
    if (ours === generation) {
      keep(name, { secret: made.secret.copy(), open: made.open, madeAtMs, uses: 1 })
    }
    return made
  }

  return {
    async take(name, source) {
      for (;;) {
        const held = use(name)
        if (held !== undefined) {
          hits += 1
          return held
        }
        const flight = flights.get(name)
        if (flight === undefined) break
        await flight // it lands in `entries`; a use beyond the last one makes another
      }
      misses += 1
      const making = make(name, source)
      flights.set(name, making)
      try {
        return await making
      } finally {
        if (flights.get(name) === making) flights.delete(name)
      }
    },
    sweep() {
      for (const [name, entry] of entries) if (!isUsable(entry)) drop(name)
    },
    clear() {
      generation++
      flights.clear()
      for (const name of entries.keys()) drop(name)
    },
    get size() {
      return entries.size
    },
    get hits() {
      return hits
    },
    get misses() {
      return misses
    },
  }
}
