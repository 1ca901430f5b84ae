// What is to be delivered, as far as the way to the next server depends on it, and what was decided for it.
import type { DaneOutcome } from '../dane/outcome.ts'
import type { Floor, Transport } from '../mail/transport.ts'
import type { StsFailure, StsOutcome } from '../mta-sts/outcome.ts'
import type { Requirement } from './requirement.ts'
import type { FailureType } from './result.ts'

export interface Order {
  /** Of the recipients: A-labels in lower case, or an address literal such as `[192.0.2.1]`. */
  readonly domain: string
  /** Next hops that the operator has configured; undefined: the MX hosts of the domain. */
  readonly route: readonly RouteHost[] | undefined
  readonly transport: Transport
  readonly floor: Floor
  readonly contentIsEncrypted: boolean
  /** REQUIRETLS on the envelope, RFC 8689 section 2. */
  readonly requireTls: boolean
  /** `TLS-Required: No` in the header, RFC 8689 section 3; without meaning beside REQUIRETLS. */
  readonly tlsRequiredNo: boolean
  /** A report of ours on failures of TLS, which does not wait for TLS: RFC 8460 section 3. */
  readonly isTlsReport?: boolean
}

export interface RouteHost {
  /** A host name, or an IP address. */
  readonly host: string
  readonly port: number
}

export type Plan =
  | {
      readonly status: 'deliver'
      /** In the order in which they are to be tried; at least one. */
      readonly hosts: readonly PlannedHost[]
      readonly skipped: readonly SkippedHost[]
      /** For the report of the domain. */
      readonly stsFailure: StsFailure | undefined
    }
  /** No host may be used now. `reason` is for people, the sender of a bounce too. */
  | {
      readonly status: 'defer'
      readonly reason: string
      readonly skipped: readonly SkippedHost[]
      readonly stsFailure: StsFailure | undefined
    }
  /** Nobody takes mail for this domain. `dsn`: RFC 3463, such as `5.1.10`. */
  | {
      readonly status: 'refuse'
      readonly reason: string
      readonly dsn: '5.1.2' | '5.1.10' | '5.4.4'
    }

export interface PlannedHost {
  readonly host: string
  readonly preference: number
  /** IP addresses; at least one. */
  readonly addresses: readonly string[]
  readonly port: number
  readonly requirement: Requirement
  /** For SNI: the MX host, under DANE the base domain (RFC 7672 section 8.1); undefined for a bare address. */
  readonly servername: string | undefined
  /** Whether the server must offer REQUIRETLS too. */
  readonly requireTls: boolean
  readonly evidence: Evidence
}

/** What is evaluated and reported, whether or not it is what decides. */
export interface Evidence {
  readonly domain: string
  readonly hostIsAuthentic: boolean
  readonly dane: DaneOutcome
  readonly sts: StsOutcome
}

export interface SkippedHost {
  readonly host: string
  /** undefined: nothing that a report counts. */
  readonly resultType: FailureType | undefined
  readonly reason: string
  readonly evidence: Evidence | undefined
}
