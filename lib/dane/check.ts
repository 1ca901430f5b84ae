// Whether a chain of certificates is what TLSA records say: RFC 7672 section 3, RFC 7671 section 5.
import { PermError } from '../errors.ts'
import type { DaneCheck, DaneUsable } from './outcome.ts'

export interface PresentedChain {
  /** DER, the server's own first, the others in any order. */
  readonly chain: readonly Uint8Array[]
  /** For usage 2: the base domain, and what else the server may be called (RFC 7672 section 3.2.2). */
  readonly names: readonly string[]
  readonly nowMs: number
}

export function checkDane(_dane: DaneUsable, _presented: PresentedChain): DaneCheck {
  throw new PermError('crypto/unsupported', 'to come')
}
