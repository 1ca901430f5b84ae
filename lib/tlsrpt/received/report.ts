// A report that somebody sent us about domains of ours: as ours (RFC 8460 section 4.4), but nothing is sure to be there.
import type { AnyReport } from '../report.ts'

/** Texts that the sender left out are empty. `formatReport` writes it down, and parseReport reads that as the same. */
export interface ReceivedReport extends AnyReport {
  /** What the standard has otherwise, in words. */
  readonly deviations: readonly string[]
}

export type ReceivedPolicy = AnyReport['policies'][number]

/** The failed sessions by their type, those that a sender has only in his sum as `unspecified`. */
export function failuresByType({
  failedSessions,
  failures,
}: ReceivedPolicy): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { resultType, failedSessions: count } of failures)
    counts.set(resultType, (counts.get(resultType) ?? 0) + count)
  if (counts.size === 0 && failedSessions > 0) counts.set('unspecified', failedSessions)
  return counts
}
