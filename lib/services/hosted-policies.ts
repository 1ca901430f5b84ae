// The MTA-STS policies of our own domains as they are served: `enforce` only once our own MX hosts were seen to satisfy it.
import { hostname } from 'node:os'
import type { SharedCache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import { createHostFinder } from '../dane/find.ts'
import { problemsOfOwnPolicy, type OwnPolicyOptions } from '../delivery/own-policy.ts'
import { probeServer } from '../delivery/probe.ts'
import type { Resolver } from '../dns/resolver.ts'
import { HishoError } from '../errors.ts'
import { publish, type Publication } from '../mta-sts/publication.ts'
import type { TableFile } from '../protection/table-file.ts'
import type { DeliverySettings } from './delivery-settings.ts'
import type { Log } from './services.ts'

export interface HostedPolicies {
  /** undefined: the domain publishes none. TempError when the store cannot say whether `enforce` was accepted. */
  served(domain: string): Promise<Served | undefined>
  /** What stands against the policy of hisho.yaml; with nothing it is accepted, and served. */
  check(domain: string): Promise<readonly string[]>
  /** Checks what is not accepted yet, now and again; says in the log what stands against it. */
  start(): void
  close(): void
}

export interface Served extends Publication {
  /** `testing` stands in its place until our MX hosts satisfy it. */
  readonly isHeldBack: boolean
}

export interface HostedPoliciesOptions {
  readonly table: TableFile
  readonly resolver: Resolver
  readonly settings: DeliverySettings
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: Log
}

const PROBE_MS = 30_000
const CHECK_AGAIN_MS = 10 * 60_000
const ACCEPTED_SECONDS = 31_557_600
/** How long a process believes what it has read of the store. */
const READ_AGAIN_MS = 30_000

export function createHostedPolicies(options: HostedPoliciesOptions): HostedPolicies {
  const { table, store, clock, log, resolver, settings } = options
  const { port, ca } = settings
  const toServer: OwnPolicyOptions = {
    resolver,
    // Whether there is DANE does not matter to MTA-STS.
    hosts: createHostFinder({ resolver, isOn: async () => false }),
    port,
    shakeHands: (target, signal) =>
      probeServer(
        { ...target, helo: hostname(), timeoutMs: PROBE_MS, ...(ca !== undefined && { ca }) },
        signal,
      ),
    nowMs: () => clock.nowMs(),
  }
  const known = new Map<string, { readonly id: string | undefined; readonly untilMs: number }>()
  let timer: NodeJS.Timeout | undefined

  const keyOf = (domain: string): string => `mta-sts/own/${domain}`
  const acceptedId = async (domain: string): Promise<string | undefined> => {
    const held = known.get(domain)
    if (held && clock.nowMs() < held.untilMs) return held.id
    const id = await store.get(keyOf(domain))
    known.set(domain, { id, untilMs: clock.nowMs() + READ_AGAIN_MS })
    return id
  }

  const check = async (domain: string): Promise<readonly string[]> => {
    const policy = table.current().policies.get(domain)
    if (policy === undefined) return [`${domain} has no policy in hisho.yaml`]
    const problems = await problemsOfOwnPolicy(domain, policy, toServer)
    if (problems.length === 0) {
      await store.set(keyOf(domain), publish(policy).id, ACCEPTED_SECONDS)
      known.delete(domain)
    }
    return problems
  }

  const checkAll = async (): Promise<void> => {
    for (const [domain, policy] of table.current().policies) {
      if (policy.mode !== 'enforce' || (await acceptedId(domain)) === publish(policy).id) continue
      const problems = await check(domain)
      if (problems.length === 0) log('notice', `the MTA-STS policy of ${domain} is enforced now`)
      else
        log(
          'error',
          `the MTA-STS policy of ${domain} is served as "testing", not "enforce", until its own MX hosts satisfy it: ${problems.join('; ')}`,
        )
    }
  }

  return {
    async served(domain) {
      const policy = table.current().policies.get(domain)
      if (policy === undefined) return undefined
      const wanted = publish(policy)
      if (policy.mode !== 'enforce' || (await acceptedId(domain)) === wanted.id)
        return { ...wanted, isHeldBack: false }
      return { ...publish({ ...policy, mode: 'testing' }), isHeldBack: true }
    },
    check,
    start() {
      const run = (): void => {
        checkAll().catch((error: unknown) => {
          const reason = error instanceof HishoError ? error.message : String(error)
          log('warn', `whether our MX hosts satisfy our MTA-STS policies is not known: ${reason}`)
        })
      }
      run()
      timer = setInterval(run, CHECK_AGAIN_MS).unref()
    },
    close: () => clearInterval(timer),
  }
}
