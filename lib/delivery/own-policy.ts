// Whether our own MX hosts keep the promise that our own MTA-STS policy would make: asked before it is made (RFC 8461
// section 8.3: hosts first, policy after).
import type { HostFinder } from '../dane/outcome.ts'
import type { Resolver } from '../dns/resolver.ts'
import { matchesMx } from '../mta-sts/match.ts'
import type { Policy } from '../mta-sts/policy.ts'
import { candidatesFor } from './candidates.ts'
import { judge, type Handshake } from './judge.ts'

export interface OwnPolicyOptions {
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly hosts: HostFinder
  readonly port: number
  /** A STARTTLS handshake with a server, and nothing more. Never rejects. */
  readonly shakeHands: ShakeHands
  readonly nowMs: () => number
}

export interface HandshakeTarget {
  readonly address: string
  readonly port: number
  readonly servername: string | undefined
}

export type ShakeHands = (
  target: HandshakeTarget,
  signal?: AbortSignal,
) => Promise<
  | { readonly status: 'unreached'; readonly reason: string }
  | { readonly status: 'answered'; readonly handshake: Handshake }
>

/** What stands against the policy, in words; nothing: it can be enforced. TempError where DNS cannot tell. */
export async function problemsOfOwnPolicy(
  domain: string,
  policy: Omit<Policy, 'lines'>,
  { resolver, hosts, port, shakeHands, nowMs }: OwnPolicyOptions,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const candidates = await candidatesFor(domain, undefined, port, resolver, signal)
  if ('status' in candidates) return [candidates.refusal.reason]
  const full = { ...policy, lines: [] }
  const problems: string[] = []
  for (const { host } of candidates) {
    if (!matchesMx(full, host)) problems.push(`${host}: the policy does not name it`)
    const found = await hosts.find(host, port, signal)
    if (found.status !== 'reachable') {
      problems.push(`${host}: ${found.status === 'unknown' ? found.reason : 'it has no address'}`)
      continue
    }
    for (const address of found.addresses) {
      const answer = await shakeHands({ address, port, servername: host }, signal)
      if (answer.status === 'unreached') {
        problems.push(`${host} [${address}]: ${answer.reason}`)
        continue
      }
      const { verdict, reason } = judge(
        {
          host,
          preference: 0,
          addresses: [address],
          port,
          requirement: { kind: 'webpki', name: { kind: 'host', name: host } },
          servername: host,
          requireTls: false,
          evidence: {
            domain,
            hostIsAuthentic: false,
            dane: { status: 'none', reason: 'not asked' },
            sts: { status: 'found', id: '', policy: full, failure: undefined },
          },
        },
        answer.handshake,
        nowMs(),
      )
      if (verdict !== 'deliver') problems.push(`${host} [${address}]: ${reason}`)
    }
  }
  return problems
}
