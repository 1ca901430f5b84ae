// What happened to TLS on the way to one host, in the words of RFC 8460 section 4.3.
import type { StsFailure } from '../mta-sts/outcome.ts'

export type FailureType =
  | 'starttls-not-supported'
  | 'certificate-host-mismatch'
  | 'certificate-expired'
  | 'certificate-not-trusted'
  | 'validation-failure'
  | 'tlsa-invalid'
  | 'dnssec-invalid'
  | 'dane-required'
  | StsFailure['resultType']

export interface PolicyResult {
  readonly policyType: 'tlsa' | 'sts' | 'no-policy-found'
  /** Of `sts` and `no-policy-found` the recipients' domain; of `tlsa` the base domain. */
  readonly policyDomain: string
  /** RFC 8460 section 4.5: TLSA RDATA in presentation form, or the lines of the policy file. */
  readonly policyStrings: readonly string[]
  /** The `mx` patterns of a policy. */
  readonly mxHostPatterns: readonly string[]
  readonly resultType: 'success' | FailureType
  /** For `failure-reason-code`. */
  readonly reason?: string
}
