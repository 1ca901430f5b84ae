// What the sources said, for as long as it is good: one question at a time for an address, and a short rest after a failure.
import type { Cache } from '../cache/cache.ts'
import { createSingleFlight } from '../cache/single-flight.ts'
import { clampTtl } from '../cache/ttl.ts'
import type { Clock } from '../clock.ts'
import { TempError } from '../errors.ts'
import type { KeyKind } from '../mail/correspondent-keys.ts'
import { formatHeld, parseHeld, type Held, type TimedFinding } from './finding.ts'

export interface RememberedFindingsOptions {
  readonly cache: Cache
  readonly clock: Clock
  /** Of what was found. That there is nothing is remembered no longer than the floor, and so never longer than a key. */
  readonly ttl: { readonly floorSeconds: number; readonly ceilingSeconds: number }
}

export interface Question {
  readonly kind: KeyKind
  readonly source: 'dnssec' | 'wkd'
  readonly address: string
}

export interface RememberedFindings {
  /** TempError: nobody can say. */
  ask(question: Question, anew: () => Promise<TimedFinding>): Promise<Held>
  forget(question: Question): Promise<void>
}

const FAILURE_MS = 10_000
const FAILURES_MAX = 1_000

export function createRememberedFindings(options: RememberedFindingsOptions): RememberedFindings {
  const { cache, clock, ttl } = options
  const flights = createSingleFlight<Held>()
  const failures = new Map<string, { readonly error: TempError; readonly untilMs: number }>()

  const keep = async (key: string, { finding, ttlSeconds }: TimedFinding): Promise<Held> => {
    const keptSeconds =
      finding.status === 'found'
        ? clampTtl(ttlSeconds, ttl)
        : Math.min(ttlSeconds, ttl.floorSeconds)
    const held = { finding, untilMs: clock.nowMs() + keptSeconds * 1000 }
    await cache.set(key, formatHeld(held), keptSeconds)
    return held
  }
  const recall = async (key: string): Promise<Held | undefined> => {
    const text = await cache.get(key)
    const held = text === undefined ? undefined : parseHeld(text)
    return held && held.untilMs > clock.nowMs() ? held : undefined
  }
  const fail = (key: string, error: unknown): void => {
    if (!(error instanceof TempError)) return
    failures.delete(key)
    failures.set(key, { error, untilMs: clock.nowMs() + FAILURE_MS })
    const [oldest] = failures.keys()
    if (failures.size > FAILURES_MAX && oldest !== undefined) failures.delete(oldest)
  }

  return {
    async ask(question, anew) {
      const key = keyOf(question)
      const failed = failures.get(key)
      if (failed && failed.untilMs > clock.nowMs()) throw failed.error
      return flights.fetchOnce(key, async () => {
        const held = await recall(key)
        if (held) return held
        try {
          return await keep(key, await anew())
        } catch (error) {
          fail(key, error)
          throw error
        }
      })
    },
    async forget(question) {
      failures.delete(keyOf(question))
      await cache.delete(keyOf(question))
    },
  }
}

function keyOf({ kind, source, address }: Question): string {
  return `keys/found/${kind}/${source}/${address}`
}
