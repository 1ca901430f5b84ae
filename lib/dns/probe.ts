// Whether the resolvers validate, so that their AD bit says something: RFC 7672 section 2.1.3 asks for it before DANE.
import type { Clock } from '../clock.ts'
import { HishoError } from '../errors.ts'
import { ROOT } from './name.ts'
import { createResolver, type ResolverOptions } from './resolver.ts'
import type { DnsServer } from './servers.ts'

/** `untrusted`: the way to one of the servers is open to forgers, so what it says of DNSSEC is not believed. */
export type DnssecSupport = 'validates' | 'does-not-validate' | 'untrusted'

export interface DnssecProbeOptions extends ResolverOptions {
  readonly clock: Clock
  /** A name in a signed zone, whether or not it has records. Default: the root. */
  readonly name?: string
}

export interface DnssecProbe {
  /** What is true of all the servers that answer. Remembered for an hour. TempError: none has ever answered. */
  check(signal?: AbortSignal): Promise<DnssecSupport>
}

const KEPT_MS = 3_600_000
/** While one of the servers is silent. */
const KEPT_IN_PART_MS = 60_000

interface Finding {
  readonly support: DnssecSupport
  readonly untilMs: number
}

/**
 * Each server is asked by itself: a resolver goes on to the next one when the first says SERVFAIL, as it does of a bogus
 * answer, so one that does not validate would undo the others.
 */
export function createDnssecProbe({
  servers,
  clock,
  name = ROOT,
  ...options
}: DnssecProbeOptions): DnssecProbe {
  const untrusted = servers.some(({ trusted }) => !trusted)
  let finding: Finding | undefined

  const validates = async (server: DnsServer, signal?: AbortSignal): Promise<boolean> => {
    const { authentic } = await createResolver({ ...options, servers: [server] }).resolve(
      name,
      'TXT', // any type would do: a proof that there is none has the AD bit too
      signal,
    )
    return authentic
  }

  const find = async (signal?: AbortSignal): Promise<Finding> => {
    const asked = await Promise.allSettled(servers.map((server) => validates(server, signal)))
    signal?.throwIfAborted()
    const answered = asked.filter((one) => one.status === 'fulfilled')
    const silent = asked.find((one) => one.status === 'rejected')
    if (silent && !(silent.reason instanceof HishoError)) throw silent.reason
    if (silent && answered.length === 0) {
      // What was true before is so still: a resolver does not learn or forget DNSSEC by being silent.
      if (finding) return { ...finding, untilMs: clock.nowMs() + KEPT_IN_PART_MS }
      throw silent.reason
    }
    return {
      support: answered.every(({ value }) => value) ? 'validates' : 'does-not-validate',
      untilMs: clock.nowMs() + (silent ? KEPT_IN_PART_MS : KEPT_MS),
    }
  }

  return {
    async check(signal) {
      if (untrusted) return 'untrusted'
      if (finding && clock.nowMs() < finding.untilMs) return finding.support
      finding = await find(signal)
      return finding.support
    },
  }
}
