// What DNS says of a host to which mail may go: its addresses, and what its certificate is bound to. RFC 7672 section 2.2.
import type { TlsaRecord } from '../dns/records.ts'

export type HostOutcome =
  | {
      readonly status: 'reachable'
      readonly addresses: readonly string[]
      readonly dane: DaneOutcome
    }
  /** DNS says that there is no such host, or that it has no address. */
  | { readonly status: 'no-address' }
  /** An error or bogus: the host is not used, RFC 7672 section 2.1.2. */
  | { readonly status: 'unknown'; readonly reason: string }

export type DaneOutcome =
  /** Authenticated absence, or nothing that is authenticated: RFC 7672 section 2.2. */
  | { readonly status: 'none'; readonly reason: string }
  /** Authenticated records, none of which can be used: TLS is needed, authentication is not. */
  | {
      readonly status: 'unusable'
      readonly baseDomain: string
      readonly records: readonly TlsaRecord[]
    }
  | DaneUsable
  /** An error or bogus, which is never absence: the host counts as unreachable, RFC 7672 section 2.1.3. */
  | { readonly status: 'failed'; readonly reason: string }

export interface DaneUsable {
  readonly status: 'usable'
  readonly baseDomain: string
  /** Usable ones alone, the strongest digests: RFC 7671 section 9. */
  readonly usable: readonly TlsaRecord[]
  /** All that were published, for reports. */
  readonly records: readonly TlsaRecord[]
}

/** Whether a server's certificate is one that the records name. */
export type DaneCheck =
  | { readonly status: 'match'; readonly record: TlsaRecord }
  | {
      readonly status: 'mismatch'
      /** RFC 8460 section 4.3, verbatim. */
      readonly resultType:
        | 'tlsa-invalid'
        | 'certificate-expired'
        | 'certificate-host-mismatch'
        | 'certificate-not-trusted'
        | 'validation-failure'
      readonly reason: string
    }

export interface HostFinder {
  /** A host name as A-labels. Rejects with the signal's reason alone. */
  find(host: string, port: number, signal?: AbortSignal): Promise<HostOutcome>
}
