// One TLS session, or what kept it from being one, as delivery tells of it: RFC 8460 section 4.3.
import type { PolicyType, ResultType } from './report.ts'

export interface Session {
  readonly atMs: number
  /** Of the recipients, or of a smart host in their place. */
  readonly domain: string
  /** What it was worth to each policy that there is. */
  readonly results: readonly SessionResult[]
  readonly sendingIp?: string | undefined
  /** The receiving host, by its name; then the name that it gave itself, and its address. */
  readonly host?: string | undefined
  readonly helo?: string | undefined
  readonly receivingIp?: string | undefined
}

export interface SessionResult {
  readonly policyType: PolicyType
  /** Of `tlsa` the base domain of the host, otherwise `domain` of the session. */
  readonly policyDomain: string
  readonly policyStrings: readonly string[]
  readonly mxHostPatterns: readonly string[]
  readonly resultType: 'success' | ResultType
  readonly reason?: string
}
