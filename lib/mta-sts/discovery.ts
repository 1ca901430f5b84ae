// What DNS says of a domain's policy: RFC 8461 section 3.1. A question that has no answer is not the answer "none".
import type { Resolver } from '../dns/resolver.ts'
import { PermError, TempError } from '../errors.ts'
import { parseRecords, type RecordOutcome } from './record.ts'

export type Discovered =
  | RecordOutcome
  /** Nobody can say. */
  | { readonly status: 'unknown'; readonly error: TempError }

/** Of the domain itself, never of one above it: RFC 8461 section 3.4. Rejects with the signal's reason alone. */
export async function discover(
  resolver: Pick<Resolver, 'resolve'>,
  domain: string,
  signal?: AbortSignal,
): Promise<Discovered> {
  try {
    const answer = await resolver.resolve(`_mta-sts.${domain}`, 'TXT', signal)
    return parseRecords(answer.status === 'found' ? answer.records : [])
  } catch (error) {
    if (error instanceof TempError) return { status: 'unknown', error }
    // A name that no DNS can hold.
    if (error instanceof PermError) return { status: 'none', reason: error.message }
    throw error
  }
}
