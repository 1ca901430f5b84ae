// What a receiving server can do wrong with TLS, and what is to come of it.
import type { Authority } from './authority.ts'
import type { Conduct } from './smtp-mta.ts'

export interface TlsFault {
  readonly what: string
  /** Lines of the standards that it is about, beside those of all faults. */
  readonly labels?: string
  conduct(names: FaultNames): Partial<Conduct>
  /** What is said to the sender. */
  readonly reason: RegExp
  /** RFC 8460 section 4.3; undefined: TLS had no part in it. */
  readonly result: string | undefined
  /** What becomes of mail where TLS is only wanted. */
  readonly otherwise: 'in clear' | 'over TLS' | 'not here'
}

export interface FaultNames {
  readonly host: string
  readonly authority: Authority
  /** Nobody trusts this one. */
  readonly stranger: Authority
}

const noStartTls = { result: 'starttls-not-supported', otherwise: 'in clear' } as const
const invalid = { result: 'validation-failure', otherwise: 'in clear' } as const
const noTls = { result: undefined, otherwise: 'not here' } as const

export const TLS_FAULTS: readonly TlsFault[] = [
  {
    what: 'no STARTTLS',
    conduct: () => ({ startTls: 'missing' }),
    reason: /does not offer STARTTLS/,
    ...noStartTls,
  },
  {
    what: 'EHLO 502',
    conduct: () => ({ ehlo: '502 what' }),
    reason: /refuses EHLO \(502 what\)/,
    ...noStartTls,
  },
  {
    what: 'STARTTLS 454',
    conduct: () => ({ startTls: '454 not now' }),
    reason: /refuses STARTTLS \(454 not now\)/,
    ...noStartTls,
  },
  {
    what: 'STARTTLS 502',
    conduct: () => ({ startTls: '502 what' }),
    reason: /refuses STARTTLS \(502 what\)/,
    ...noStartTls,
  },
  {
    what: 'STARTTLS 250',
    conduct: () => ({ startTls: '250 fine' }),
    reason: /answers STARTTLS with 250 fine/,
    ...invalid,
  },
  {
    what: 'garbage after 220',
    conduct: () => ({ startTls: 'garbage' }),
    reason: /TLS failed: /,
    ...invalid,
  },
  {
    what: 'a line after 220 in the same packet',
    conduct: () => ({ startTls: 'inject' }),
    reason: /more in clear/,
    ...invalid,
  },
  {
    what: 'a part of a line after 220 in the same packet',
    conduct: () => ({ startTls: 'inject a part' }),
    reason: /more in clear/,
    ...invalid,
  },
  {
    what: 'a line after 220 in another packet',
    conduct: () => ({ startTls: 'inject later' }),
    reason: /TLS failed: |speaks in clear|more in clear/,
    ...invalid,
  },
  {
    what: 'the end after 220',
    conduct: () => ({ startTls: 'hang up' }),
    reason: /TLS failed: /,
    ...invalid,
  },
  {
    what: 'the end right after the handshake',
    conduct: () => ({ startTls: 'hang up within' }),
    reason: /TLS failed: /,
    ...invalid,
  },
  {
    what: 'TLS 1.1 at most',
    labels: 'S38 ',
    conduct: () => ({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1' }),
    reason: /TLS failed: /,
    ...invalid,
  },
  {
    what: 'an expired certificate',
    labels: 'S28 ',
    conduct: ({ authority, host }) => ({ credentials: authority.issue(host, { days: -1 }) }),
    reason: /out of date \(CERT_HAS_EXPIRED\)/,
    result: 'certificate-expired',
    otherwise: 'over TLS',
  },
  {
    what: 'a certificate for another name',
    labels: 'S28 ',
    conduct: ({ authority }) => ({ credentials: authority.issue('other.example') }),
    reason: /its certificate is not for mx1\.b\.example/,
    result: 'certificate-host-mismatch',
    otherwise: 'over TLS',
  },
  {
    what: 'the name as common name alone',
    labels: 'S28 ',
    conduct: ({ authority, host }) => ({ credentials: authority.issue(host, { names: '' }) }),
    reason: /its certificate is not for mx1\.b\.example/,
    result: 'certificate-host-mismatch',
    otherwise: 'over TLS',
  },
  {
    what: 'a certificate by nobody we trust',
    labels: 'S28 ',
    conduct: ({ stranger, host }) => ({ credentials: stranger.issue(host) }),
    reason: /nobody we trust vouches/,
    result: 'certificate-not-trusted',
    otherwise: 'over TLS',
  },
  {
    what: 'greeting 554',
    conduct: () => ({ greeting: '554 go away' }),
    reason: /greets with 554/,
    ...noTls,
  },
  {
    what: 'greeting 421',
    conduct: () => ({ greeting: '421 later' }),
    reason: /greets with 421/,
    ...noTls,
  },
  {
    what: 'a greeting that is no SMTP',
    conduct: () => ({ greeting: 'SSH-2.0-x' }),
    reason: /no SMTP/,
    ...noTls,
  },
  {
    what: 'EHLO 421',
    conduct: () => ({ ehlo: '421 later' }),
    reason: /answers EHLO with 421/,
    ...noTls,
  },
  {
    what: 'the end after EHLO',
    conduct: () => ({ ehlo: 'hang up' }),
    reason: /closed/,
    ...noTls,
  },
]
