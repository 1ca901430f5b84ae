// The two classes of failure, and the codes they carry. RFC 3463 gives the digits: class 4 and 5 are the
// classes' own, what stands here is subject and detail.

const DETAIL = {
  'cache/malformed': '3.5',
  'cache/unreachable': '3.0',
  'cli/usage': '5.4',
  'container/damaged': '7.7',
  'container/malformed': '7.7',
  'container/no-match': '7.7',
  'crypto/busy': '3.2',
  'crypto/unsupported': '7.6',
  'crypto/worker': '3.0',
  'delivery/requiretls': '7.10',
  'dns/malformed': '4.3',
  'dns/refused': '4.3',
  'dns/servfail': '4.3',
  'dns/timeout': '4.3',
  'haraka/deadline': '3.0',
  'haraka/queue': '3.1',
  'haraka/settings': '3.5',
  'haraka/unprotected': '7.0',
  'ibe/decrypt': '7.7',
  'http/malformed': '4.3',
  'http/status': '4.3',
  'http/unreachable': '4.1',
  'ibe/parameters': '7.5',
  'kgc/refused': '7.5',
  'kgc/unreachable': '4.1',
  'mail/malformed': '6.0',
  'keys/unreachable': '4.3',
  'keys/unreadable': '3.5',
  'keys/untrusted': '7.5',
  'mta-sts/busy': '3.2',
  'mta-sts/policy': '7.5',
  'openpgp/decrypt': '7.7',
  'openpgp/key': '7.5',
  'protection/limit': '3.4',
  'protection/no-key': '7.3',
  'protection/not-opened': '7.5',
  'protection/refused': '7.1',
  'protection/replay': '7.7',
  'protection/split': '3.5',
  'signature/failed': '7.7',
  'signature/missing': '7.1',
  'smime/certificate': '7.5',
  'smime/decrypt': '7.7',
  'smime/revocation': '7.5',
  'table/malformed': '3.5',
  'tlsrpt/malformed': '6.0',
  'vault/locked': '7.5',
  'vault/malformed': '7.5',
} as const

export type ErrorCode = keyof typeof DETAIL

export interface HishoErrorOptions extends ErrorOptions {
  /** What the peer may be told beside the class of the failure; by default nothing. */
  readonly peerText?: string
}

/** A failure that was understood: it has a code for the log and RFC 3463 digits for the peer. Never holds a secret. */
export abstract class HishoError extends Error {
  abstract readonly statusClass: 4 | 5
  readonly code: ErrorCode
  readonly peerText: string | undefined

  constructor(code: ErrorCode, message: string, options?: HishoErrorOptions) {
    super(message, options)
    this.code = code
    this.peerText = options?.peerText
    this.name = new.target.name
  }

  /** The enhanced status code of RFC 3463, such as `4.4.3`. */
  get status(): string {
    return `${this.statusClass}.${DETAIL[this.code]}`
  }
}

/** May pass by itself: answered 4xx, the mail is deferred. */
export class TempError extends HishoError {
  override readonly statusClass = 4
}

/** Will not pass by itself: answered 5xx, the mail is refused or bounced. */
export class PermError extends HishoError {
  override readonly statusClass = 5
}
