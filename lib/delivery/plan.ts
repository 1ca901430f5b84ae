// To which hosts mail for a domain may go, and what each of them owes: RFC 5321 section 5.1, RFC 7672 section 2.2, RFC 8461
// section 5. A plan is made anew for each attempt, so that a new policy is seen before anything is given up.
import { isIP } from 'node:net'
import { randomInt } from 'node:crypto'
import type { HostFinder, HostOutcome } from '../dane/outcome.ts'
import type { MxRecord } from '../dns/records.ts'
import type { Resolver } from '../dns/resolver.ts'
import type { PolicyFinder, StsOutcome } from '../mta-sts/outcome.ts'
import type { Order, Plan, PlannedHost, RouteHost, SkippedHost } from './order.ts'
import { requirementFor, type Wishes } from './requirement.ts'

export interface PlannerOptions {
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly hosts: HostFinder
  /** undefined: MTA-STS is off. */
  readonly policies: PolicyFinder | undefined
  /** Where mail exchangers listen: 25. */
  readonly port: number
}

export interface Planner {
  /** TempError where DNS cannot say who takes mail for the domain, or whether it has a policy. */
  plan(order: Order, signal?: AbortSignal): Promise<Plan>
}

/** More than anybody has; the rest of a longer list is not tried. */
const MAX_HOSTS = 16

interface Candidate {
  /** undefined: a bare address. */
  readonly name: string | undefined
  readonly host: string
  readonly port: number
  readonly preference: number
  readonly isAuthentic: boolean
}

type Looked =
  | { readonly status: 'planned'; readonly host: PlannedHost }
  | { readonly status: 'skipped'; readonly host: SkippedHost; readonly hasNoAddress: boolean }

const NO_POLICY: StsOutcome = { status: 'none', failure: undefined }

export function createPlanner({ resolver, hosts, policies, port }: PlannerOptions): Planner {
  const policyOf = async (domain: string, signal?: AbortSignal): Promise<StsOutcome> =>
    policies && isIP(domain) === 0 ? policies.find(domain, signal) : NO_POLICY

  const look = async (
    candidate: Candidate,
    domain: string,
    sts: StsOutcome,
    wishes: Wishes,
    requireTls: boolean,
    signal?: AbortSignal,
  ): Promise<Looked> => {
    const { name, host, preference, isAuthentic } = candidate
    const found: HostOutcome =
      name === undefined
        ? { status: 'reachable', addresses: [host], dane: { status: 'none', reason: 'no name' } }
        : await hosts.find(name, candidate.port, signal)
    if (found.status !== 'reachable') {
      const hasNoAddress = found.status === 'no-address'
      const reason = hasNoAddress ? 'it has no address' : found.reason
      return skip({ host, resultType: undefined, reason, evidence: undefined }, hasNoAddress)
    }
    const evidence = { domain, hostIsAuthentic: isAuthentic, dane: found.dane, sts }
    const requirement = requirementFor({ ...evidence, host: name }, wishes)
    if (requirement.kind === 'impossible') {
      const { resultType, reason } = requirement
      return skip({ host, resultType, reason, evidence })
    }
    return {
      status: 'planned',
      host: {
        host,
        preference,
        addresses: found.addresses,
        port: candidate.port,
        requirement,
        servername: requirement.kind === 'dane' ? requirement.dane.baseDomain : name,
        requireTls,
        evidence,
      },
    }
  }

  return {
    async plan(order, signal) {
      const wishes = wishesOf(order)
      if (order.floor === 'content' && !order.contentIsEncrypted)
        return deferred(
          `${order.domain} gets encrypted mail only, and this message is not encrypted`,
        )
      const candidates =
        order.route?.map((hop) => asCandidate(hop)) ?? (await candidatesFor(order.domain, signal))
      if ('status' in candidates) return candidates
      // RFC 8461 section 3.4: of a configured next hop, that hop's own name is the policy domain.
      const hop = order.route?.[0]?.host
      const domain = hop ?? order.domain
      const sts = await policyOf(domain, signal)
      const looked = await Promise.all(
        candidates
          .slice(0, MAX_HOSTS)
          .map((candidate) => look(candidate, domain, sts, wishes, order.requireTls, signal)),
      )
      const planned = looked.flatMap((one) => (one.status === 'planned' ? [one.host] : []))
      const skipped = looked.flatMap((one) => (one.status === 'skipped' ? [one.host] : []))
      const nobody = planned.length === 0
      // An implicit MX without any address: there is no mail for this domain at all.
      const [only] = looked
      if (
        nobody &&
        candidates[0]?.host === order.domain &&
        only?.status === 'skipped' &&
        only.hasNoAddress
      )
        return refused(`${order.domain} has no mail server and no address`, '5.4.4')
      const stsFailure = sts.failure
      return nobody
        ? { status: 'defer', reason: whyNobody(order, skipped), skipped, stsFailure }
        : { status: 'deliver', hosts: planned, skipped, stsFailure }
    },
  }

  async function candidatesFor(
    domain: string,
    signal?: AbortSignal,
  ): Promise<readonly Candidate[] | Plan> {
    const literal = /^\[(?:IPv6:)?([^\]]+)\]$/i.exec(domain)?.[1]
    if (literal !== undefined) return [asCandidate({ host: literal, port })]
    // RFC 7672 section 2.2.1: an error is thrown here and defers; it is never taken for absence.
    const answer = await resolver.resolve(domain, 'MX', signal)
    if (answer.status === 'nxdomain') return refused(`there is no domain ${domain}`, '5.1.2')
    if (answer.status !== 'found')
      // The domain is its own host: RFC 5321 section 5.1, RFC 7672 section 2.2.1.
      return [{ name: domain, host: domain, port, preference: 0, isAuthentic: true }]
    const [first, ...more] = answer.records
    if (first && more.length === 0 && isNull(first))
      return refused(`${domain} takes no mail (null MX)`, '5.1.10') // RFC 7505 section 4.1
    return inOrder(answer.records.filter((record) => !isNull(record))).map(
      ({ exchange, preference }) => {
        const host = exchange.toLowerCase().replace(/\.$/, '')
        return { name: host, host, port, preference, isAuthentic: answer.authentic }
      },
    )
  }
}

function asCandidate({ host, port }: RouteHost): Candidate {
  const name = isIP(host) === 0 ? host.toLowerCase() : undefined
  return { name, host, port, preference: 0, isAuthentic: true }
}

/** By preference; among equals by chance: RFC 5321 section 5.1. */
function inOrder(records: readonly MxRecord[]): readonly MxRecord[] {
  return records
    .map((record) => ({ record, at: randomInt(0x1_00_00) }))
    .toSorted((one, other) => one.record.preference - other.record.preference || one.at - other.at)
    .map(({ record }) => record)
}

function isNull({ exchange }: MxRecord): boolean {
  return exchange === '.' || exchange === ''
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

function skip(host: SkippedHost, hasNoAddress = false): Looked {
  return { status: 'skipped', host, hasNoAddress }
}

function whyNobody({ domain, floor, requireTls }: Order, skipped: readonly SkippedHost[]): string {
  const asked = requireTls
    ? 'the sender requires TLS to a server that proves its name'
    : floor === 'either' || floor === 'transport'
      ? 'mail in clear needs TLS to a server that proves its name'
      : 'no server keeps the promise of the domain'
  return `${domain}: ${asked}: ${skipped.map(({ host, reason }) => `${host}: ${reason}`).join('; ')}`
}

function deferred(reason: string): Plan {
  return { status: 'defer', reason, skipped: [], stsFailure: undefined }
}

function refused(reason: string, dsn: '5.1.2' | '5.1.10' | '5.4.4'): Plan {
  return { status: 'refuse', reason, dsn }
}
