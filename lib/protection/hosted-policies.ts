// `mta_sts` of config/hisho.yaml: the policies that domains of ours publish, RFC 8461 section 3.2.
import { HishoError } from '../errors.ts'
import { formatPolicy, parsePolicy, type Mode, type Policy } from '../mta-sts/policy.ts'
import type { YamlFile } from '../yaml/document.ts'
import { list, mapping, oneOf } from '../yaml/values.ts'

export type HostedPolicy = Omit<Policy, 'lines'>

const MODES: readonly Mode[] = ['enforce', 'testing', 'none']
const KEYS: readonly string[] = ['mode', 'mx', 'max_age']
/** RFC 8461 section 3.2: weeks, so that one who can block the policy host for a while gains nothing. */
const DEFAULT_MAX_AGE_SECONDS = 2 * 604_800

export function parseHostedPolicies(
  yaml: YamlFile,
  value: unknown,
  local: readonly string[],
  asDomain: (text: string) => string | undefined,
): ReadonlyMap<string, HostedPolicy> {
  return new Map(
    Object.entries(mapping(yaml, ['mta_sts'], value)).map(([key, entry]) => {
      const path = ['mta_sts', key]
      const domain = asDomain(key)
      if (domain === undefined || !local.includes(domain))
        throw yaml.errorAt(path, 'is no domain of `local`')
      return [domain, parseHosted(yaml, path, entry)]
    }),
  )
}

function parseHosted(yaml: YamlFile, path: readonly string[], value: unknown): HostedPolicy {
  const entry = mapping(yaml, path, value)
  for (const name of Object.keys(entry)) {
    if (!KEYS.includes(name))
      throw yaml.errorAt([...path, name], `no such key (${KEYS.join(', ')})`)
  }
  const mode = oneOf(yaml, [...path, 'mode'], entry['mode'], MODES)
  const maxAge = entry['max_age'] ?? DEFAULT_MAX_AGE_SECONDS
  if (typeof maxAge !== 'number')
    throw yaml.errorAt([...path, 'max_age'], 'must be a number of seconds')
  const mx = list(yaml, [...path, 'mx'], entry['mx'] ?? []).map(String)
  try {
    // What others will read is what counts.
    const {
      mode: readMode,
      maxAgeSeconds,
      mx: readMx,
    } = parsePolicy(formatPolicy({ mode, maxAgeSeconds: maxAge, mx }))
    return { mode: readMode, maxAgeSeconds, mx: readMx }
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    throw yaml.errorAt(path, error.message)
  }
}
