// Counts in memory, within bounds: what is too various is counted without its details, and only what has no room for its
// name is not counted at all. RFC 8460 section 4.3.
import type { Count } from './count.ts'
import type { FailureDetail, PolicyReport, ReportedPolicy } from './report.ts'

export interface TallyLimits {
  readonly maxNames: number
  /** Of one name; beyond it, one more for each policy type. */
  readonly maxPolicies: number
  /** Different failures of one name; beyond it, one more for each policy and result type. */
  readonly maxFailures: number
}

export interface Tally {
  /** How many entries there are to be written. */
  readonly size: number
  success(name: string, via: string | undefined, policy: ReportedPolicy, times: number): boolean
  /** False: there is no room for the name. */
  failure(
    name: string,
    via: string | undefined,
    policy: ReportedPolicy,
    detail: FailureDetail,
  ): boolean
  add(count: Count): boolean
  /** All of them; the tally is empty after it. */
  drain(): readonly Count[]
}

interface PolicyEntry {
  readonly policy: ReportedPolicy
  successes: number
  readonly failures: Map<string, { readonly detail: FailureDetail; times: number }>
}

interface NameEntry {
  readonly name: string
  readonly via: string | undefined
  readonly policies: Map<string, PolicyEntry>
  failures: number
}

export function createTally({ maxNames, maxPolicies, maxFailures }: TallyLimits): Tally {
  const names = new Map<string, NameEntry>()
  let size = 0

  const nameEntry = (name: string, via: string | undefined): NameEntry | undefined => {
    const key = via === undefined ? name : `${name}\n${via}`
    const held = names.get(key)
    if (held) return held
    if (names.size >= maxNames) return undefined
    const made: NameEntry = { name, via, policies: new Map(), failures: 0 }
    names.set(key, made)
    return made
  }
  const policyEntry = (entry: NameEntry, policy: ReportedPolicy): PolicyEntry => {
    const key = keyOfPolicy(policy)
    const held = entry.policies.get(key)
    if (held) return held
    if (entry.policies.size >= maxPolicies) {
      const { policyType } = policy
      const bare = { policyType, policyDomain: entry.name, policyStrings: [], mxHosts: [] }
      if (key !== keyOfPolicy(bare)) return policyEntry(entry, bare)
    }
    const made: PolicyEntry = { policy, successes: 0, failures: new Map() }
    entry.policies.set(key, made)
    size += 1
    return made
  }
  const fail = (entry: NameEntry, policy: PolicyEntry, detail: FailureDetail): void => {
    const key = keyOfFailure(detail)
    const held = policy.failures.get(key)
    if (held) {
      held.times += detail.failedSessions
      return
    }
    const { resultType, failedSessions } = detail
    const isBare = key === keyOfFailure({ resultType, failedSessions })
    if (entry.failures >= maxFailures && !isBare)
      return fail(entry, policy, { resultType, failedSessions })
    policy.failures.set(key, { detail, times: failedSessions })
    entry.failures += 1
    size += 1
  }

  return {
    get size() {
      return size
    },
    success(name, via, policy, times) {
      const entry = nameEntry(name, via)
      if (!entry) return false
      policyEntry(entry, policy).successes += times
      return true
    },
    failure(name, via, policy, detail) {
      const entry = nameEntry(name, via)
      if (!entry) return false
      fail(entry, policyEntry(entry, policy), detail)
      return true
    },
    add({ name, via, policy, successfulSessions, failures }) {
      const entry = nameEntry(name, via)
      if (!entry) return false
      const held = policyEntry(entry, policy)
      held.successes += successfulSessions
      for (const detail of failures) fail(entry, held, detail)
      return true
    },
    drain() {
      const counts = [...names.values()].flatMap(({ name, via, policies }) =>
        [...policies.values()].map((entry) => ({ name, via, ...reportOf(entry) })),
      )
      names.clear()
      size = 0
      return counts
    },
  }
}

function reportOf({ policy, successes, failures }: PolicyEntry): PolicyReport {
  const details = [...failures.values()].map(({ detail, times }) => ({
    ...detail,
    failedSessions: times,
  }))
  return {
    policy,
    successfulSessions: successes,
    failedSessions: details.reduce((sum, { failedSessions }) => sum + failedSessions, 0),
    failures: details,
  }
}

function keyOfPolicy({ policyType, policyDomain, policyStrings, mxHosts }: ReportedPolicy): string {
  const head = `${policyType}\n${policyDomain}`
  return policyStrings.length === 0
    ? head
    : `${head}\n${policyStrings.join('\n')}\n\n${mxHosts.join('\n')}`
}

function keyOfFailure(detail: FailureDetail): string {
  const { receivingMxHostname, receivingMxHelo, receivingIp, sendingMtaIp } = detail
  return `${detail.resultType}\n${receivingMxHostname}\n${receivingIp}\n${sendingMtaIp}\n${receivingMxHelo}\n${detail.failureReasonCode}`
}
