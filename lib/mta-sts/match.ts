// Whether a host may be an MX of a domain, by its policy: RFC 8461 section 4.1.
import type { Policy } from './policy.ts'

export function matchesMx(policy: Policy, host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '')
  const dot = name.indexOf('.')
  const parent = dot > 0 ? name.slice(dot + 1) : undefined // one label before it, not none
  return policy.mx.some((pattern) =>
    pattern.startsWith('*.') ? parent === pattern.slice(2) : name === pattern,
  )
}
