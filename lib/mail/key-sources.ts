// `key_sources` in a line of the domain table: where keys of the domain's addresses may come from. Two schemes ask for it.
import { KEY_SOURCES, type KeySourceName } from './correspondent-keys.ts'
import type { SchemeSettings } from './scheme.ts'

/** What comes with mail counts only where the table names it. */
const DEFAULT: readonly KeySourceName[] = ['operator', 'dnssec', 'wkd']

export function problemWithKeySources({ key_sources: value }: SchemeSettings): string | undefined {
  if (value === undefined) return undefined
  const isGood =
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((name) => KEY_SOURCES.some((known) => known === name))
  return isGood ? undefined : `must be a list of ${KEY_SOURCES.join(', ')}`
}

/** Of settings that `problemWithKeySources` has let pass: in order of trust, whatever the order in the table. */
export function keySourcesOf({ key_sources: value }: SchemeSettings): readonly KeySourceName[] {
  return Array.isArray(value) ? KEY_SOURCES.filter((name) => value.includes(name)) : DEFAULT
}
