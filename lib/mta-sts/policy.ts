// The policy file of MTA-STS: RFC 8461 section 3.2.

export type Mode = 'enforce' | 'testing' | 'none'

export interface Policy {
  readonly mode: Mode
  readonly maxAgeSeconds: number
  /** Patterns as A-labels in lower case: a host name, or `*.` and a host name. */
  readonly mx: readonly string[]
  /** The lines as they were fetched, errors included, for reports: RFC 8460 section 4.5. */
  readonly lines: readonly string[]
}
