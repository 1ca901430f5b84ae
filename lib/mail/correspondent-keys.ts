// Public keys and certificates of others: what the schemes that need one ask for, and what finds them must know of a format.

export type KeyKind = 'openpgp' | 'smime'

/**
 * Where a key may come from, in order of trust: the operator's own files, DNS records signed with DNSSEC (OPENPGPKEY, RFC 7929;
 * SMIMEA, RFC 8162), the domain's web server (WKD), and what came with signed mail.
 */
export const KEY_SOURCES = ['operator', 'dnssec', 'wkd', 'harvested'] as const
export type KeySourceName = (typeof KEY_SOURCES)[number]

/** A key of somebody, as its format reads it. */
export interface PublicKey {
  /** Hexadecimal, of the primary key or of the certificate. */
  readonly fingerprint: string
  /**
   * What stays the same when the key is renewed and is what is remembered of it: by default the fingerprint. Of a certificate
   * it is best a hash of the subject's public key (RFC 5280 section 4.1.2.7), since each renewal has a fingerprint of its own.
   */
  readonly lasting?: string
  /** In the form that the scheme uses: a binary OpenPGP certificate; a DER certificate. */
  readonly bytes: Uint8Array
  /** The addresses that it says it belongs to, normalised. */
  readonly addresses: readonly string[]
  /** ISO 8601, UTC. */
  readonly expires?: string
}

export interface FoundKey extends PublicKey {
  /** `operator`: his files, or his word about one that came with mail. */
  readonly source: KeySourceName
  /** The operator has put it down for the whole domain; otherwise it is the address's own. */
  readonly isOfDomain: boolean
  /**
   * Of a certificate that DNS names (RFC 8162 section 2, RFC 6698 section 2.1.1). 1: its chain must hold as well. 3: the record
   * alone vouches for it, whatever its chain and its names.
   */
  readonly smimeaUsage?: 1 | 3
  /** Why it may not be theirs: it came in signed mail only, or another one is pinned. Then it does not satisfy `required`. */
  readonly untrusted?: string
  /** Until when what was found is remembered. ISO 8601; absent for the operator's own. */
  readonly until?: string
}

/** What a format tells of bytes from outside. */
export interface KeyFormat {
  readonly kind: KeyKind
  /** All keys in them, armored or PEM or binary, whole and limited. PermError if they cannot be read. */
  read(bytes: Uint8Array): Promise<readonly PublicKey[]>
}

export interface CorrespondentKeys {
  /**
   * The keys for a normalised address, those of the best source that has any: of the operator's files those of the address,
   * else those of its domain. A domain alone has only the latter. Empty: there are none. TempError: nobody can say now (a
   * SERVFAIL is no "none"). PermError openpgp/key, smime/certificate: something is there, and it is no key of the address.
   * `spelling`: the address as it was written, if that is another one.
   */
  find(
    kind: KeyKind,
    name: string,
    sources: readonly KeySourceName[],
    spelling?: string,
  ): Promise<readonly FoundKey[]>
  /** Remembers a key that came in mail with a good signature of this address. Never throws for what the bytes are. */
  harvest(kind: KeyKind, address: string, bytes: Uint8Array): Promise<void>
}
