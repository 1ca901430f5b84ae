// Why a certificate is revoked: RFC 5280 section 5.3.1, in the order of the numbers.

export const REASONS = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
] as const
export type RevocationReason = (typeof REASONS)[number]
