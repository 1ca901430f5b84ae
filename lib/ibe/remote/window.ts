// Which identities a KGC gives keys for, and until when: those of the current period, and for mail in transit of those
// that ended lately.
import { PermError } from '../../errors.ts'
import { normalizeAddress, parseIdentity } from '../identity.ts'
import type { IdentityKeyRequest } from '../key-source.ts'
import { periodKindOf, periodSpan, type PeriodKind } from '../period.ts'

export interface Window {
  /** How long after the end of its period mail may still be under way. */
  readonly pastMs: number
  /** How far clocks may differ. */
  readonly skewMs: number
}

export type Verdict =
  | { readonly status: 'inside'; /** Infinity: for ever. */ readonly untilMs: number }
  | { readonly status: 'malformed' | 'outside' }

const FOR_EVER: Verdict = { status: 'inside', untilMs: Infinity }

/** Whether there may be a key for an identity of a domain, under a generation with this kind of period. */
export function judgeIdentity(
  { scheme, domain, identity }: Omit<IdentityKeyRequest, 'n'>,
  kind: PeriodKind,
  window: Window,
  nowMs: number,
): Verdict {
  // The identity of the IBEmail paper is the local part, without a period: such a key is good for ever.
  if (scheme === 'bb2')
    return isNormal(`${identity}@${domain}`) ? FOR_EVER : { status: 'malformed' }
  const parsed = attempt(() => parseIdentity(identity))
  if (parsed?.domain !== domain) return { status: 'malformed' }
  const { period } = parsed
  if (periodKindOf(period) !== kind) return { status: 'outside' }
  if (period === undefined) return FOR_EVER
  const { beginMs, endMs } = periodSpan(period)
  // Nobody signs into the past: a key for a period that is over would only serve to forge old signatures.
  const untilMs = endMs + (scheme === 'cc' ? window.skewMs : window.pastMs)
  if (nowMs < beginMs - window.skewMs || nowMs >= untilMs) return { status: 'outside' }
  return { status: 'inside', untilMs }
}

function isNormal(address: string): boolean {
  return attempt(() => normalizeAddress(address)) === address
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (error instanceof PermError) return undefined
    throw error
  }
}
