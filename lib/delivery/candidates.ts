// Who takes mail for a domain: RFC 5321 section 5.1, or the operator's own route.
import { randomInt } from 'node:crypto'
import { isIP } from 'node:net'
import type { MxRecord } from '../dns/records.ts'
import type { Resolver } from '../dns/resolver.ts'
import type { Plan, RouteHost } from './order.ts'

export interface Candidate {
  /** Whose MTA-STS policy binds it. */
  readonly policyDomain: string
  /** undefined: a bare address. */
  readonly name: string | undefined
  readonly host: string
  readonly port: number
  readonly preference: number
  /** Nobody but the domain, or our operator, can have named this host. */
  readonly isAuthentic: boolean
}

export type Refusal = Extract<Plan, { status: 'refuse' }>

/** Nobody takes mail for the domain, as DNS says. */
export interface Nobody {
  readonly status: 'nobody'
  readonly refusal: Refusal
  /** Whether the domain itself must have said so. */
  readonly isAuthentic: boolean
}

/** More than anybody has; the rest of a longer list is not tried. */
const MAX_HOSTS = 16

/** In the order in which they are tried. TempError when DNS cannot say. */
export async function candidatesFor(
  domain: string,
  route: readonly RouteHost[] | undefined,
  port: number,
  resolver: Pick<Resolver, 'resolve'>,
  signal?: AbortSignal,
): Promise<readonly Candidate[] | Nobody> {
  if (route) return route.map(asCandidate)
  const literal = /^\[(?:IPv6:)?([^\]]+)\]$/i.exec(domain)?.[1]
  if (literal !== undefined) return [asCandidate({ host: literal, port })]
  // RFC 7672 section 2.2.1: an error is thrown here and defers; it is never taken for absence.
  const answer = await resolver.resolve(domain, 'MX', signal)
  const nobody = (reason: string, dsn: Refusal['dsn']): Nobody => ({
    status: 'nobody',
    refusal: refused(reason, dsn),
    isAuthentic: answer.authentic,
  })
  if (answer.status === 'nxdomain') return nobody(`there is no domain ${domain}`, '5.1.2')
  // The domain is its own host: RFC 5321 section 5.1, RFC 7672 section 2.2.1.
  if (answer.status !== 'found') return [asCandidate({ host: domain, port })]
  if (answer.records.every(isNull)) return nobody(`${domain} takes no mail (null MX)`, '5.1.10') // RFC 7505 section 4.1
  return inOrder(answer.records.filter((record) => !isNull(record)))
    .slice(0, MAX_HOSTS)
    .map(({ exchange, preference }) => ({
      ...asCandidate({ host: exchange.replace(/\.$/, ''), port }),
      policyDomain: domain,
      preference,
      isAuthentic: answer.authentic,
    }))
}

export function refused(reason: string, dsn: Refusal['dsn']): Refusal {
  return { status: 'refuse', reason, dsn }
}

/** RFC 8461 section 3.4: of a next hop that is configured, its own name is the policy domain. */
function asCandidate({ host, port }: RouteHost): Candidate {
  const normal = host.toLowerCase()
  return {
    policyDomain: normal,
    name: isIP(host) === 0 ? normal : undefined,
    host: normal,
    port,
    preference: 0,
    isAuthentic: true,
  }
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
