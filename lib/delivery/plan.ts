// To which hosts mail for a domain may go, and what each of them owes: RFC 5321 section 5.1, RFC 7672 section 2.2, RFC 8461
// section 5. A plan is made anew for each attempt, so that a new policy is seen before anything is given up (RFC 8461
// section 5: "prior to permanently failing").
import { isIP } from 'node:net'
import type { HostFinder, HostOutcome } from '../dane/outcome.ts'
import type { Resolver } from '../dns/resolver.ts'
import { HishoError } from '../errors.ts'
import type { PolicyFinder, StsOutcome } from '../mta-sts/outcome.ts'
import { candidatesFor, refused, type Candidate, type Refusal } from './candidates.ts'
import type { Order, Plan, PlannedHost, SkippedHost } from './order.ts'
import { isOverridden, requirementFor, type Wishes } from './requirement.ts'

export interface PlannerOptions {
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly hosts: HostFinder
  readonly policies: PolicyFinder
  /** Where mail exchangers listen: 25. */
  readonly port: number
}

export interface Planner {
  /** TempError where DNS cannot say who takes mail for the domain, or whether it has a policy. */
  plan(order: Order, signal?: AbortSignal): Promise<Plan>
}

const NO_POLICY: StsOutcome = { status: 'none', failure: undefined }

type Looked =
  | { readonly status: 'planned'; readonly host: PlannedHost }
  | { readonly status: 'skipped'; readonly host: SkippedHost; readonly hasNoAddress: boolean }

export function createPlanner({ resolver, hosts, policies, port }: PlannerOptions): Planner {
  /** Where the policy decides nothing, a failure to find it is none. */
  const policyOf = async (
    domain: string,
    wishes: Wishes,
    signal?: AbortSignal,
  ): Promise<StsOutcome> => {
    if (isAddress(domain)) return NO_POLICY
    try {
      return await policies.find(domain, signal)
    } catch (error) {
      if (error instanceof HishoError && isOverridden(wishes)) return NO_POLICY
      throw error
    }
  }

  /** RFC 8461 section 5: who can forge DNS alone has no mail returned, while a policy names servers. */
  const unlessPromised = async (
    refusal: Refusal,
    domain: string,
    wishes: Wishes,
    signal?: AbortSignal,
  ): Promise<Plan> => {
    if (isOverridden(wishes)) return refusal
    const sts = await policyOf(domain, wishes, signal)
    if (sts.status !== 'found' || sts.policy.mode !== 'enforce') return refusal
    return deferred(`${refusal.reason}, says DNS, and its MTA-STS policy names servers`)
  }

  const look = async (
    { name, host, port: hostPort, preference, isAuthentic, policyDomain }: Candidate,
    { requireTls, wishes, policy }: Look,
    signal?: AbortSignal,
  ): Promise<Looked> => {
    const [found, sts] = await Promise.all([
      name === undefined ? bare(host) : hosts.find(name, hostPort, signal),
      policy(policyDomain),
    ])
    if (found.status !== 'reachable') {
      const hasNoAddress = found.status === 'no-address'
      const reason = hasNoAddress ? 'it has no address' : found.reason
      return skipped({ host, resultType: undefined, reason, evidence: undefined }, hasNoAddress)
    }
    const evidence = { domain: policyDomain, hostIsAuthentic: isAuthentic, dane: found.dane, sts }
    const requirement = requirementFor({ ...evidence, host: name }, wishes)
    if (requirement.kind === 'impossible') {
      const { resultType, reason } = requirement
      return skipped({ host, resultType, reason, evidence }, false)
    }
    return {
      status: 'planned',
      host: {
        host,
        preference,
        addresses: found.addresses,
        port: hostPort,
        requirement,
        servername: requirement.kind === 'dane' ? requirement.dane.baseDomain : name,
        requireTls,
        evidence,
      },
    }
  }

  return {
    async plan(order, signal) {
      const { domain, route } = order
      if (order.floor === 'content' && !order.contentIsEncrypted)
        return deferred(`${domain} gets encrypted mail only, and this message is not encrypted`)
      const candidates = await candidatesFor(domain, route, port, resolver, signal)
      const wishes = wishesOf(order)
      if ('status' in candidates) {
        const { refusal, isAuthentic } = candidates
        return isAuthentic ? refusal : unlessPromised(refusal, domain, wishes, signal)
      }
      // Asked once, however many hosts it binds.
      const asked = new Map<string, Promise<StsOutcome>>()
      const policy = (of: string): Promise<StsOutcome> => {
        const found = asked.get(of) ?? policyOf(of, wishes, signal)
        asked.set(of, found)
        return found
      }
      const first = candidates[0]?.policyDomain ?? domain
      const looked = await Promise.all(
        candidates.map((one) =>
          look(one, { requireTls: order.requireTls, wishes, policy }, signal),
        ),
      )
      const planned = looked.flatMap((one) => (one.status === 'planned' ? [one.host] : []))
      const left = looked.flatMap((one) => (one.status === 'skipped' ? [one.host] : []))
      const isImplicit = route === undefined && candidates[0]?.host === domain
      // Neither an MX nor an address: there is no mail for this domain at all.
      if (isImplicit && looked.every((one) => one.status === 'skipped' && one.hasNoAddress))
        return unlessPromised(
          refused(`${domain} has neither a mail server nor an address`, '5.4.4'),
          domain,
          wishes,
          signal,
        )
      const stsFailure = (await policy(first)).failure
      return planned.length === 0
        ? { status: 'defer', reason: whyNobody(order, left), skipped: left, stsFailure }
        : { status: 'deliver', hosts: planned, skipped: left, stsFailure }
    },
  }
}

interface Look {
  readonly requireTls: boolean
  readonly wishes: Wishes
  readonly policy: (domain: string) => Promise<StsOutcome>
}

/** A route or a literal: there is nothing to look up. */
const bare = (address: string): HostOutcome => ({
  status: 'reachable',
  addresses: [address],
  dane: { status: 'none', reason: 'an address without a name' },
})

function isAddress(domain: string): boolean {
  return domain.startsWith('[') || isIP(domain) !== 0
}

function wishesOf({
  transport,
  floor,
  contentIsEncrypted,
  requireTls,
  tlsRequiredNo,
}: Order): Wishes {
  const floorIsOpen = floor === 'transport' || (floor === 'either' && !contentIsEncrypted)
  return {
    transport,
    authentication: requireTls || floorIsOpen ? 'needed' : 'as-published',
    tlsRequired: tlsRequiredNo && !requireTls ? 'no' : 'unsaid', // RFC 8689 section 4.1
  }
}

function whyNobody(
  { domain, floor, requireTls, contentIsEncrypted }: Order,
  left: readonly SkippedHost[],
): string {
  const hosts = left.map(({ host, reason }) => `${host}: ${reason}`).join('; ')
  if (requireTls) return `the sender requires TLS to servers that prove their names: ${hosts}`
  if (floor === 'transport' || (floor === 'either' && !contentIsEncrypted))
    return `mail to ${domain} may not travel in clear, and no server can prove its name: ${hosts}`
  return `no server of ${domain} can be used: ${hosts}`
}

function skipped(host: SkippedHost, hasNoAddress: boolean): Looked {
  return { status: 'skipped', host, hasNoAddress }
}

function deferred(reason: string): Plan {
  return { status: 'defer', reason, skipped: [], stsFailure: undefined }
}
