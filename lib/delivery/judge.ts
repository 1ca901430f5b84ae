// Whether mail may go over a connection: what was required, against what the handshake brought. Everything is evaluated
// for the report, and what is fatal is decided apart from that.
import { checkDane } from '../dane/check.ts'
import type { DaneUsable } from '../dane/outcome.ts'
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
      /** DER, the server's own certificate first. */
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

export function judge(planned: PlannedHost, handshake: Handshake, nowMs: number): Judgement {
  const results = resultsOf(planned, handshake, nowMs)
  const { requirement } = planned
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
  if (requirement.kind === 'dane')
    checks.push(checkUnderDane(planned, requirement.dane, handshake.chain, nowMs))
  const name = nameRequired(planned)
  if (name) checks.push(checkWebPki(handshake, name))
  if (requirement.kind === 'impossible') checks.push({ status: 'bad', ...requirement })
  const bad = checks.find((check) => check.status === 'bad')
  if (bad) return { verdict: 'next-host', authenticated: false, reason: bad.reason, results }
  return { verdict: 'deliver', authenticated: checks.length > 0, reason: 'as required', results }
}

/** What happened, for each policy that there is: the domain's and the host's apart. */
export function resultsOf(
  { host, evidence }: Pick<PlannedHost, 'host' | 'evidence'>,
  handshake: Handshake,
  nowMs: number,
): readonly PolicyResult[] {
  const { dane, sts, domain } = evidence
  const results: PolicyResult[] = []
  const failed =
    handshake.status === 'failed' ? bad(handshake.resultType, handshake.reason) : undefined
  if (dane.status === 'usable' || dane.status === 'unusable') {
    const check =
      failed ??
      (dane.status === 'usable' && handshake.status === 'done'
        ? checkUnderDane({ host, evidence }, dane, handshake.chain, nowMs)
        : GOOD)
    results.push(daneResult(dane.baseDomain, dane.records, check))
  }
  if (sts.status === 'found' && sts.policy.mode !== 'none') {
    const check = failed ?? checkSts(host, sts.policy, handshake)
    results.push(stsResult(domain, sts.policy, check))
  }
  if (results.length > 0) return results
  return [
    {
      policyType: 'no-policy-found',
      policyDomain: domain,
      policyStrings: [],
      mxHostPatterns: [],
      ...resultOf(failed ?? GOOD),
    },
  ]
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
  dane: DaneUsable,
  chain: readonly Uint8Array[],
  nowMs: number,
): Check {
  // RFC 7672 section 3.2.2: the domain itself counts only where it led to the host securely.
  const names = new Set([
    dane.baseDomain,
    ...(evidence.hostIsAuthentic ? [host, evidence.domain] : []),
  ])
  const check = checkDane(dane, { chain, names: [...names], nowMs })
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
