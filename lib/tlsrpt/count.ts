// How often something happened, of one name and one policy; as text, for what keeps it.
import { POLICY_TYPES, type FailureDetail, type PolicyReport, type PolicyType } from './report.ts'

export interface Count extends PolicyReport {
  /** Whose report it belongs in: a domain of recipients, or the TLSA base domain of a host. */
  readonly name: string
  /** Of a host: for which domain it was spoken to. Whoever gets both reports gets one of them. */
  readonly via: string | undefined
}

type Texts = readonly string[]

/** A name, via, the policy, successes, and the failures: JSON without the names of fields. */
export function packCount({ name, via, policy, successfulSessions, failures }: Count): unknown {
  const { policyType, policyDomain, policyStrings, mxHosts } = policy
  return [
    name,
    via ?? 0,
    [policyType, policyDomain, policyStrings, mxHosts],
    successfulSessions,
    failures.map(packFailure),
  ]
}

export function packFailure(failure: FailureDetail): unknown {
  return [
    failure.failedSessions,
    failure.resultType,
    failure.sendingMtaIp ?? 0,
    failure.receivingMxHostname ?? 0,
    failure.receivingMxHelo ?? 0,
    failure.receivingIp ?? 0,
    failure.failureReasonCode ?? 0,
  ]
}

/** undefined: nothing of ours. */
export function unpackCount(packed: unknown): Count | undefined {
  if (!Array.isArray(packed)) return undefined
  const [name, via, policy, successes, failures] = packed as unknown[]
  if (typeof name !== 'string' || !Array.isArray(policy) || !isCount(successes)) return undefined
  const [type, policyDomain, policyStrings, mxHosts] = policy as unknown[]
  const policyType = POLICY_TYPES.find((one): one is PolicyType => one === type)
  if (policyType === undefined || typeof policyDomain !== 'string') return undefined
  if (!isTexts(policyStrings) || !isTexts(mxHosts) || !Array.isArray(failures)) return undefined
  const details = (failures as unknown[]).map(unpackFailure)
  const whole = details.filter((detail) => detail !== undefined)
  if (whole.length < details.length) return undefined
  return {
    name,
    via: text(via),
    policy: { policyType, policyDomain, policyStrings, mxHosts },
    successfulSessions: successes,
    failedSessions: whole.reduce((sum, { failedSessions }) => sum + failedSessions, 0),
    failures: whole,
  }
}

function unpackFailure(packed: unknown): FailureDetail | undefined {
  if (!Array.isArray(packed)) return undefined
  const [count, resultType, sendingIp, host, helo, receivingIp, reason] = packed as unknown[]
  if (!isCount(count) || typeof resultType !== 'string') return undefined
  return {
    resultType,
    failedSessions: count,
    ...optional('sendingMtaIp', sendingIp),
    ...optional('receivingMxHostname', host),
    ...optional('receivingMxHelo', helo),
    ...optional('receivingIp', receivingIp),
    ...optional('failureReasonCode', reason),
  }
}

function optional<K extends string>(key: K, value: unknown): { readonly [P in K]?: string } {
  return typeof value === 'string' ? ({ [key]: value } as { readonly [P in K]: string }) : {}
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isTexts(value: unknown): value is Texts {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}
