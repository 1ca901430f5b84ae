// Where a domain stands on its way from one generation of keys to the next: a decision without any look-up of its own.
import type { MasterKeyEntry } from '../vault/contents.ts'

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

/** Senders keep an answer for its TTL, at most this long unless they have changed `ttl_ceiling`. */
const CEILING_MS = DAY_MS
/** An encapsulated key is used for ten minutes; clocks may be five apart. */
const MARGIN_MS = 15 * MINUTE_MS

/** RFC 5321 section 4.5.4.1: a sender gives up after four to five days. */
export const QUEUE_DAYS = 5

export type RotationStep =
  | { readonly step: 'none' }
  /** One generation, and it is published. */
  | { readonly step: 'steady'; readonly current: MasterKeyEntry }
  /** The newest is not in DNS. `older` is what is. */
  | {
      readonly step: 'publish'
      readonly next: MasterKeyEntry
      readonly older: readonly MasterKeyEntry[]
    }
  /** Both are published: senders move as their copies of the older answer expire. */
  | {
      readonly step: 'wait'
      readonly next: MasterKeyEntry
      readonly older: readonly MasterKeyEntry[]
      readonly untilMs: number
    }
  /** Nobody uses the older ones for new mail: their records can go. */
  | {
      readonly step: 'withdraw'
      readonly next: MasterKeyEntry
      readonly older: readonly MasterKeyEntry[]
    }
  /** Withdrawn, and still in DNS. */
  | { readonly step: 'unpublish'; readonly older: readonly MasterKeyEntry[] }
  /** Mail that was sealed with them may still be in queues. */
  | { readonly step: 'drain'; readonly older: readonly MasterKeyEntry[]; readonly untilMs: number }
  | { readonly step: 'retire'; readonly older: readonly MasterKeyEntry[] }

export interface RotationFacts {
  /** Of one scheme, not retired, the newest first. */
  readonly active: readonly MasterKeyEntry[]
  readonly isPublished: (entry: MasterKeyEntry) => boolean
  /** Of the records as they stand in DNS. */
  readonly ttlSeconds: number
  readonly queueDays: number
  readonly nowMs: number
}

export function rotationStep(facts: RotationFacts): RotationStep {
  const { active, isPublished, nowMs } = facts
  const [next, ...older] = active
  if (next === undefined) return { step: 'none' }
  if (!isPublished(next)) return { step: 'publish', next, older: older.filter(isPublished) }
  if (older.length === 0) return { step: 'steady', current: next }
  const live = older.filter((entry) => entry.withdrawn === undefined)
  if (live.length > 0) {
    const untilMs = withdrawAtMs(next, facts)
    return nowMs < untilMs
      ? { step: 'wait', next, older: live, untilMs }
      : { step: 'withdraw', next, older: live }
  }
  const there = older.filter(isPublished)
  if (there.length > 0) return { step: 'unpublish', older: there }
  const due = older.filter((entry) => retireAtMs(entry, facts) <= nowMs)
  if (due.length > 0) return { step: 'retire', older: due }
  const untilMs = Math.min(...older.map((entry) => retireAtMs(entry, facts)))
  return { step: 'drain', older, untilMs }
}

/** When nobody can remember an answer without the next one any more. */
function withdrawAtMs(next: MasterKeyEntry, facts: RotationFacts): number {
  const since = next.published === undefined ? facts.nowMs : Date.parse(next.published)
  return since + rememberedMs(facts) + (next.scheme === 'cc' ? facts.queueDays * DAY_MS : 0)
}

/** When no mail that needs it can be under way any more. Infinity: its record was never withdrawn. */
export function retireAtMs(
  entry: MasterKeyEntry,
  facts: Pick<RotationFacts, 'ttlSeconds' | 'queueDays'>,
): number {
  if (entry.withdrawn === undefined) return Infinity
  // What a signature needs is its record, which stayed for as long; the key itself is needed no more.
  if (entry.scheme === 'cc') return Date.parse(entry.withdrawn)
  return Date.parse(entry.withdrawn) + rememberedMs(facts) + facts.queueDays * DAY_MS
}

function rememberedMs({ ttlSeconds }: Pick<RotationFacts, 'ttlSeconds'>): number {
  return Math.min(ttlSeconds * 1000, CEILING_MS) + MARGIN_MS
}
