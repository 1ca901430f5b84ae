// What a connection to one host must have before mail goes over it: the decision table of docs/mta_sts.md. DANE first, then
// MTA-STS (RFC 8461 section 2); what the operator, REQUIRETLS or a floor ask for comes on top.
import type { DaneOutcome, DaneUsable } from '../dane/outcome.ts'
import type { Transport } from '../mail/transport.ts'
import { matchesMx } from '../mta-sts/match.ts'
import type { StsOutcome } from '../mta-sts/outcome.ts'
import type { FailureType } from './result.ts'

export type Requirement =
  /** No TLS at all: the operator's `off`. */
  | { readonly kind: 'none' }
  /** TLS if it can be had, in clear otherwise. */
  | { readonly kind: 'opportunistic' }
  /** TLS, whoever answers. */
  | { readonly kind: 'encrypted' }
  | { readonly kind: 'webpki'; readonly name: CertificateName }
  | {
      readonly kind: 'dane'
      readonly dane: DaneUsable
      /** Where the MX name could be forged, a certificate by the Web PKI is needed beside. */
      readonly webpki: CertificateName | undefined
    }
  /** No connection would do. */
  | { readonly kind: 'impossible'; readonly resultType: FailureType; readonly reason: string }

/** `host`: the certificate names this host. `domain`: it names this domain, or something below it. */
export interface CertificateName {
  readonly kind: 'host' | 'domain'
  readonly name: string
}

export interface HostFacts {
  /** The recipients' domain, or the configured next hop. */
  readonly domain: string
  /** undefined: an address without a name. */
  readonly host: string | undefined
  /** Nobody could have put this host in another's place: secure MX, the domain itself, or the operator's own choice. */
  readonly hostIsAuthentic: boolean
  readonly dane: DaneOutcome
  readonly sts: StsOutcome
}

export interface Wishes {
  readonly transport: Transport
  /** A floor that nothing else has satisfied, or REQUIRETLS. */
  readonly authentication: 'needed' | 'as-published'
  /** RFC 8689 section 3. */
  readonly tlsRequired: 'no' | 'unsaid'
}

export function requirementFor(facts: HostFacts, wishes: Wishes): Requirement {
  const needed = wishes.authentication === 'needed'
  const override = overrideOf(wishes)
  if (override) return override
  const { dane, sts, host, domain } = facts
  if (dane.status === 'failed') return impossible('dnssec-invalid', dane.reason)
  const enforced = sts.status === 'found' && sts.policy.mode === 'enforce'
  const isListed = sts.status === 'found' && host !== undefined && matchesMx(sts.policy, host)
  const isAuthentic = facts.hostIsAuthentic || (enforced && isListed)
  const wanted = needed || wishes.transport === 'verify'
  const name: CertificateName =
    isAuthentic && host !== undefined
      ? { kind: 'host', name: host }
      : { kind: 'domain', name: domain }
  if (dane.status === 'usable') {
    if (facts.hostIsAuthentic) return { kind: 'dane', dane, webpki: undefined }
    if (wishes.transport === 'dane')
      return impossible('dane-required', 'the MX record that names it is not authenticated')
    // An insecure MX record may name a host of somebody else's, with good records of its own.
    if (enforced && !isListed) return notListed(host)
    return { kind: 'dane', dane, webpki: enforced || wanted ? name : undefined }
  }
  if (wishes.transport === 'dane') return impossible('dane-required', daneReason(dane))
  if (enforced && !isListed) return notListed(host)
  if (enforced || wanted)
    return host === undefined
      ? impossible(
          'validation-failure',
          'an address without a name, which no certificate can be checked against',
        )
      : { kind: 'webpki', name }
  return { kind: dane.status === 'unusable' ? 'encrypted' : 'opportunistic' }
}

/** Whether what the domain publishes is without effect. */
export function isOverridden(wishes: Wishes): boolean {
  return overrideOf(wishes) !== undefined
}

function overrideOf({ transport, tlsRequired, authentication }: Wishes): Requirement | undefined {
  if (authentication === 'needed') return undefined
  switch (transport) {
    case 'off':
      return { kind: 'none' }
    case 'opportunistic':
      return { kind: 'opportunistic' }
    case 'encrypt':
      return { kind: 'encrypted' }
    case 'policy':
      // RFC 8689 section 3: what the domain publishes is set aside, what our operator says is not.
      return tlsRequired === 'no' ? { kind: 'opportunistic' } : undefined
    case 'verify':
    case 'dane':
      return undefined
  }
}

function notListed(host: string | undefined): Requirement {
  return impossible(
    'validation-failure',
    `${host ?? 'the host'} is none of the hosts of the MTA-STS policy`,
  )
}

function daneReason(dane: DaneOutcome): string {
  return dane.status === 'none' ? dane.reason : 'its TLSA records are of no use'
}

function impossible(resultType: FailureType, reason: string): Requirement {
  return { kind: 'impossible', resultType, reason }
}
