// What is known of a domain's MTA-STS policy: RFC 8461. `failure` is for the report and the log; what is applied stands in
// `policy`.
import type { Policy } from './policy.ts'

/** RFC 8460 section 4.3.2.2, verbatim. */
export interface StsFailure {
  readonly resultType: 'sts-policy-fetch-error' | 'sts-policy-invalid' | 'sts-webpki-invalid'
  readonly reason: string
}

export type StsOutcome =
  | {
      readonly status: 'found'
      readonly policy: Policy
      readonly id: string
      /** Of a fetch that failed while this policy, cached and unexpired, stays: RFC 8461 section 3.3. */
      readonly failure: StsFailure | undefined
    }
  | { readonly status: 'none'; readonly failure: StsFailure | undefined }

export interface PolicyFinder {
  /**
   * The policy that holds now for a policy domain (A-labels). Throws a TempError when neither DNS nor the cache can say whether there is one.
   */
  find(domain: string, signal?: AbortSignal): Promise<StsOutcome>
}
