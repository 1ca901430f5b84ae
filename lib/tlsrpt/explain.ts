// What a result means and what to do about it, in words: the one table for what others report of us, and for what we see of
// others. The types are RFC 8460 section 4.3's.
import { RESULT_TYPES, type ResultType } from './report.ts'

/** `theirs`: a sender reports of a domain of ours. `ours`: we deliver to somebody else's. */
export type Direction = 'theirs' | 'ours'

export interface Explanation {
  /** What most likely happened. */
  readonly cause: string
  readonly nextStep: string
}

interface Entry {
  readonly cause: string
  /** For whoever runs the servers that mail goes to. */
  readonly mend: string
}

const ENTRIES: Readonly<Record<ResultType, Entry>> = {
  'starttls-not-supported': {
    cause:
      'The server did not offer STARTTLS, or answered it with an error: TLS is switched off, or somebody on the way takes the offer out (an attack, or a firewall that "inspects" SMTP).',
    mend: 'Look from outside, with `hisho tls check`: if STARTTLS is offered there, the network between is to blame; a firewall with SMTP inspection (Cisco "fixup") does this. If it is not, switch TLS on at the server.',
  },
  'certificate-host-mismatch': {
    cause: 'The certificate of the server does not have the name of the MX host.',
    mend: 'Issue a certificate with the name that stands in the MX record (as a DNS name in subjectAltName), or let the MX record name what is in the certificate.',
  },
  'certificate-expired': {
    cause: 'The certificate of the server has expired.',
    mend: 'Renew it, and see that the mail server reads the new one: many must be reloaded after a renewal. With several servers, look at each.',
  },
  'certificate-not-trusted': {
    cause:
      'The certificate is not signed by an authority that senders trust: it is self-signed, or the server does not send the intermediate certificate.',
    mend: 'Serve the whole chain (certificate and intermediates), from a public authority. If it does so, somebody stood between with a certificate of his own: compare fingerprints.',
  },
  'validation-failure': {
    cause:
      'TLS failed for another reason: the handshake broke off, no protocol version or cipher in common, or the host is none of those of the policy.',
    mend: 'The reason code tells more. See that TLS 1.2 and 1.3 are offered, and that each MX host is matched by an `mx` line of the MTA-STS policy.',
  },
  'tlsa-invalid': {
    cause: 'No TLSA record matches the certificate of the server.',
    mend: 'Publish the record of the certificate that is served (`hisho tlsa HOST`); before a change of keys publish the new record beside the old one, and wait for the TTL.',
  },
  'dnssec-invalid': {
    cause: 'DNSSEC: no valid answer could be had for the records of the host.',
    mend: 'Look at the signatures of the zone (expired, or a DS record that does not fit the key) with `delv` or dnsviz.net.',
  },
  'dane-required': {
    cause: 'The sender insists on DANE for this domain, and found no TLSA records to use.',
    mend: 'Publish signed TLSA records (`hisho tlsa HOST`), or ask the sender why he insists.',
  },
  'sts-policy-fetch-error': {
    cause:
      'The MTA-STS policy could not be fetched: the policy host does not answer, or not with status 200.',
    mend: 'Open https://mta-sts.DOMAIN/.well-known/mta-sts.txt: it must answer 200, without a redirect. If there is no policy any more, remove the TXT record at _mta-sts too.',
  },
  'sts-policy-invalid': {
    cause: 'The MTA-STS policy file has a fault.',
    mend: 'Have it read with `hisho mta-sts show`, or `hisho tls check`: version, mode, max_age and an mx line for each server, one a line.',
  },
  'sts-webpki-invalid': {
    cause:
      'The certificate of the policy host (mta-sts.DOMAIN) is not valid: expired, of another name, or of no known authority.',
    mend: 'Renew the certificate of the web server for the name mta-sts.DOMAIN.',
  },
}

const UNKNOWN: Entry = {
  cause: 'This type is not in the registry of RFC 8460; the sender alone knows what it means.',
  mend: 'Look at the reason code and at the additional information, and ask the contact of the report.',
}

const UNSPECIFIED: Entry = {
  cause: 'Sessions failed, and the report does not say how.',
  mend: 'Ask the contact of the report, and look with `hisho tls check`.',
}

export function explain(resultType: string, direction: Direction): Explanation {
  const { cause, mend } = entryOf(resultType)
  const nextStep =
    direction === 'theirs'
      ? mend
      : `It is for the operators of that domain to mend: tell their postmaster. What they have to do: ${mend}`
  return { cause, nextStep }
}

function entryOf(resultType: string): Entry {
  const known = RESULT_TYPES.find((one) => one === resultType)
  if (known) return ENTRIES[known]
  return resultType === 'unspecified' ? UNSPECIFIED : UNKNOWN
}
