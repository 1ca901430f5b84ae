// `key_sources` in a line of the domain table: where keys of the domain's addresses may come from. Two schemes ask for it.
import { KEY_SOURCES, type KeySourceName } from './correspondent-keys.ts'
import type { SchemeSettings } from './scheme.ts'

/** What comes with mail counts only where the table names it. */
const DEFAULT: readonly KeySourceName[] = ['operator', 'dnssec', 'wkd']

export function problemWithKeySources({ key_sources: value }: SchemeSettings): string | undefined {
  if (value === undefined) return undefined
  const names = listOf(value)
  const isGood =
    names.length > 0 && names.every((name) => KEY_SOURCES.some((known) => known === name))
  return isGood ? undefined : `must be a list of ${KEY_SOURCES.join(', ')}`
}

/** Of settings that `problemWithKeySources` has let pass: in order of trust, whatever the order in the table. */
export function keySourcesOf({ key_sources: value }: SchemeSettings): readonly KeySourceName[] {
  const names = listOf(value)
  return value === undefined ? DEFAULT : KEY_SOURCES.filter((name) => names.includes(name))
}

/** One word stands for a list of one. */
function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value]
}
