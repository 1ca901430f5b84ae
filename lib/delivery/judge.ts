// Whether mail may go over a connection: what was required, against what the handshake brought. Everything is evaluated
// for the report, and what is fatal is decided apart from that.
import { checkDane } from '../dane/check.ts'
import type { DaneOutcome } from '../dane/outcome.ts'
import { formatTlsa } from '../dane/tlsa.ts'
import type { TlsaRecord } from '../dns/records.ts'
import { matchesMx } from '../mta-sts/match.ts'
import type { Policy } from '../mta-sts/policy.ts'
import { isForHost } from '../x509/host-name.ts'
import { isWithinDomain } from '../x509/domain-name.ts'
import type { PlannedHost } from './order.ts'
import type { CertificateName } from './requirement.ts'
import type { FailureType, PolicyResult } from './result.ts'

export type Handshake =
  | {
      readonly status: 'failed'
      readonly resultType: 'starttls-not-supported' | 'validation-failure'
      readonly reason: string
    }
  | {
      readonly status: 'done'
      /** DER, the server's own certificate first; the others only where records of usage 2 ask for them. */
      readonly chain: readonly Uint8Array[]
      /** OpenSSL's code for what is wrong with the chain by the Web PKI, such as `CERT_HAS_EXPIRED`. */
      readonly chainError: string | undefined
    }

export interface Judgement {
  readonly verdict: 'deliver' | 'next-host' | 'without-tls'
  /** Whether the server proved to be who it should be. */
  readonly authenticated: boolean
  /** For the log, and for the sender if it is fatal. */
  readonly reason: string
  readonly results: readonly PolicyResult[]
}

type Check =
  | { readonly status: 'good' }
  | { readonly status: 'bad'; readonly resultType: FailureType; readonly reason: string }

const GOOD: Check = { status: 'good' }
const NOTHING_CHECKED: Check = {
  status: 'bad',
  resultType: 'tlsa-invalid',
  reason: 'its TLSA records were not looked at',
}

export function judge(planned: PlannedHost, handshake: Handshake, nowMs: number): Judgement {
  const { requirement } = planned
  const { dane, results } = evaluate(planned, handshake, nowMs)
  if (handshake.status === 'failed') {
    const mayDoWithout = requirement.kind === 'opportunistic' || requirement.kind === 'none'
    return {
      verdict: mayDoWithout ? 'without-tls' : 'next-host',
      authenticated: false,
      reason: handshake.reason,
      results,
    }
  }
  const checks: Check[] = []
  if (requirement.kind === 'dane') checks.push(dane ?? NOTHING_CHECKED)
  const name = nameRequired(planned)
  if (name) checks.push(checkWebPki(handshake, name))
  if (requirement.kind === 'impossible') checks.push({ status: 'bad', ...requirement })
  const failed = checks.find((check) => check.status === 'bad')
  if (failed) return { verdict: 'next-host', authenticated: false, reason: failed.reason, results }
  return { verdict: 'deliver', authenticated: checks.length > 0, reason: 'as required', results }
}

interface Evaluation {
  /** undefined: there are no records that could be usable. */
  readonly dane: Check | undefined
  readonly results: readonly PolicyResult[]
}

/** What happened, for each policy that there is, whether or not it decides: the domain's and the host's apart. */
function evaluate(planned: PlannedHost, handshake: Handshake, nowMs: number): Evaluation {
  const { host, evidence } = planned
  const { sts, domain } = evidence
  const failed =
    handshake.status === 'failed' ? bad(handshake.resultType, handshake.reason) : undefined
  const results: PolicyResult[] = []
  let dane: Check | undefined
  if (evidence.dane.status === 'usable' || evidence.dane.status === 'unusable') {
    dane = failed ?? checkUnderDane(planned, evidence.dane, handshake, nowMs)
    results.push(daneResult(evidence.dane.baseDomain, evidence.dane.records, dane))
  }
  if (sts.status === 'found' && sts.policy.mode !== 'none')
    results.push(stsResult(domain, sts.policy, failed ?? checkSts(host, sts.policy, handshake)))
  if (results.length > 0) return { dane, results }
  const none = { policyType: 'no-policy-found', policyDomain: domain } as const
  return {
    dane,
    results: [{ ...none, policyStrings: [], mxHostPatterns: [], ...resultOf(failed ?? GOOD) }],
  }
}

/** RFC 8461 section 4: both of them. */
function checkSts(host: string, policy: Policy, handshake: Handshake): Check {
  if (!matchesMx(policy, host)) return bad('validation-failure', `${host} is not in the policy`)
  return handshake.status === 'done' ? checkWebPki(handshake, { kind: 'host', name: host }) : GOOD
}

function nameRequired({ requirement }: PlannedHost): CertificateName | undefined {
  if (requirement.kind === 'webpki') return requirement.name
  return requirement.kind === 'dane' ? requirement.webpki : undefined
}

function checkUnderDane(
  { host, evidence }: Pick<PlannedHost, 'host' | 'evidence'>,
  dane: Extract<DaneOutcome, { status: 'usable' | 'unusable' }>,
  handshake: Handshake,
  nowMs: number,
): Check {
  // RFC 7672 section 2.2: where none of the records is usable, TLS is all that is asked for.
  if (dane.status === 'unusable' || handshake.status === 'failed') return GOOD
  // RFC 7672 section 3.2.2: the domain itself counts only where it led to the host securely.
  const names = new Set([
    dane.baseDomain,
    ...(evidence.hostIsAuthentic ? [host, evidence.domain] : []),
  ])
  const check = checkDane(dane, { chain: handshake.chain, names: [...names], nowMs })
  return check.status === 'match' ? GOOD : bad(check.resultType, check.reason)
}

const EXPIRED: readonly string[] = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']
const NOT_TRUSTED: readonly string[] = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
]

function checkWebPki(
  { chain, chainError }: Extract<Handshake, { status: 'done' }>,
  name: CertificateName,
): Check {
  const [leaf] = chain
  if (leaf === undefined) return bad('validation-failure', 'the server sent no certificate')
  if (chainError !== undefined) {
    if (EXPIRED.includes(chainError))
      return bad('certificate-expired', `its certificate is out of date (${chainError})`)
    if (NOT_TRUSTED.includes(chainError))
      return bad(
        'certificate-not-trusted',
        `nobody we trust vouches for its certificate (${chainError})`,
      )
    return bad('validation-failure', `its certificate does not hold (${chainError})`)
  }
  // RFC 8461 section 4.2: a DNS-ID, never the common name.
  const isFor =
    name.kind === 'host' ? isForHost(leaf, name.name, 'never') : isWithinDomain(leaf, name.name)
  return isFor ? GOOD : bad('certificate-host-mismatch', `its certificate is not for ${name.name}`)
}

function daneResult(
  baseDomain: string,
  records: readonly TlsaRecord[],
  check: Check,
): PolicyResult {
  return {
    policyType: 'tlsa',
    policyDomain: baseDomain,
    policyStrings: records.map(formatTlsa),
    mxHostPatterns: [],
    ...resultOf(check),
  }
}

function stsResult(domain: string, policy: Policy, check: Check): PolicyResult {
  return {
    policyType: 'sts',
    policyDomain: domain,
    policyStrings: policy.lines,
    mxHostPatterns: policy.mx,
    ...resultOf(check),
  }
}

function resultOf(check: Check): Pick<PolicyResult, 'resultType' | 'reason'> {
  return check.status === 'good'
    ? { resultType: 'success' }
    : { resultType: check.resultType, reason: check.reason }
}

function bad(resultType: FailureType, reason: string): Check {
  return { status: 'bad', resultType, reason }
}
