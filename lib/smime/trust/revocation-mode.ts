// How much it matters whether a certificate is revoked.
import type { SchemeSettings } from '../../mail/scheme.ts'
import type { Link } from './chain.ts'

/** `soft`: what nobody can say passes, and is noted. `hard`: it has to wait. */
export const REVOCATION_MODES = ['soft', 'hard', 'off'] as const
export type RevocationMode = (typeof REVOCATION_MODES)[number]

export type RevocationStatus =
  /** `note`: who said so, and how fresh that is. */
  | { readonly status: 'good'; readonly note: string }
  | { readonly status: 'revoked'; readonly reason: string }
  | { readonly status: 'unknown'; readonly reason: string }
  /** The certificate names nobody to ask. */
  | { readonly status: 'unasked'; readonly reason: string }

export interface Revocation {
  /** Never rejects for what others answer, nor for their silence. */
  check(link: Link, issuer: Link): Promise<RevocationStatus>
}

/** What is wrong with `revocation` in a line of the domain table. */
export function problemWithRevocation({ revocation }: SchemeSettings): string | undefined {
  const isGood = revocation === undefined || revocationModeFrom(revocation) !== undefined
  return isGood ? undefined : `must be one of ${REVOCATION_MODES.join(', ')}`
}

/** Of settings in which nothing is wrong. undefined: as config/hisho.ini says. */
export function revocationModeFrom(value: unknown): RevocationMode | undefined {
  return REVOCATION_MODES.find((mode) => mode === value)
}
