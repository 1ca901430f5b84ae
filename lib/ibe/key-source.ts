// Where the identity keys of our own domains come from: master keys in a vault here, or a KGC elsewhere.
import type { SecretBytes } from '../crypto/secret-bytes.ts'
import type { PeriodKind } from './period.ts'

/** What a master key is for. They never share one. */
export type KeyScheme = 'bf' | 'cc' | 'bb2'

export interface Generation {
  readonly n: number
  readonly period: PeriodKind
}

export interface IdentityKeyRequest {
  readonly scheme: KeyScheme
  readonly domain: string
  readonly n: number
  /** As the scheme hashes it: `formatIdentity` for bf and cc, the local part for bb2. */
  readonly identity: string
}

/** TempError vault/locked or kgc/unreachable where it cannot say now. */
export interface KeySource {
  /** The generations of a domain that are not retired, the newest first. */
  generations(domain: string, scheme: KeyScheme): Promise<readonly Generation[]>
  /** undefined: there is no such generation (retired, or never here), or no key for this identity. A copy: the caller wipes it. */
  identityKey(request: IdentityKeyRequest): Promise<SecretBytes | undefined>
}
