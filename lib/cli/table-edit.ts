// Edits of hisho.yaml that leave comments and order alone. What comes out is checked before it replaces the file.
import { readFile } from 'node:fs/promises'
import { PermError } from '../errors.ts'
import { normalizeDomain } from '../ibe/mail-domain.ts'
import { asPattern, isAddressPattern } from '../protection/domain-pattern.ts'
import { parseDomainTable } from '../protection/domain-table.ts'
import { SCHEME_KINDS } from '../services/schemes.ts'
import { writeAtomically } from '../disk/atomic-file.ts'
import { parseYaml } from '../yaml/document.ts'

/** Keys of a line as they are written there; `undefined` takes one away. What comes out is checked as any table is. */
export type RuleChange = Readonly<Record<string, unknown>>

type Edit = (text: string, file: string) => string

/** PermError table/malformed if the file, or what would come out, is not a good table: the file then stays as it is. */
export async function editTable(file: string, edit: Edit): Promise<'changed' | 'unchanged'> {
  const text = await readTable(file)
  parseDomainTable(text, file, SCHEME_KINDS)
  const edited = edit(text, file)
  if (edited === text) return 'unchanged'
  parseDomainTable(edited, `${file} as changed`, SCHEME_KINDS)
  await writeAtomically(file, new TextEncoder().encode(edited), { mode: 0o644, keepMode: true })
  return 'changed'
}

export async function readTable(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new PermError('table/malformed', `${file}: cannot be read`, { cause: error })
  }
}

export function withLocal(domain: string): Edit {
  return (text, file) => {
    const local = rootOf(text, file)['local']
    if (!Array.isArray(local)) return setValue(text, file, ['local'], [domain])
    const known = local.some((name) => typeof name === 'string' && samePattern(name, domain))
    return known ? text : setValue(text, file, ['local', local.length], domain)
  }
}

export function withRule(pattern: string, change: RuleChange): Edit {
  return (text, file) => {
    const rules = rulesOf(text, file)
    const key = rules && keyOf(rules, pattern)
    const wanted = Object.entries(change).filter(([, value]) => value !== undefined)
    if (!rules) return setValue(text, file, ['domains'], { [pattern]: Object.fromEntries(wanted) })
    if (key === undefined)
      return setValue(text, file, ['domains', pattern], Object.fromEntries(wanted))
    const known = rules[key]
    const isThere = (name: string): boolean =>
      typeof known === 'object' && known !== null && name in known
    return Object.entries(change)
      .filter(([name, value]) => value !== undefined || isThere(name))
      .reduce(
        (edited, [name, value]) => setValue(edited, file, ['domains', key, name], value),
        text,
      )
  }
}

export function withoutRule(pattern: string): Edit {
  return (text, file) => {
    const rules = rulesOf(text, file) ?? {}
    const key = keyOf(rules, pattern)
    if (key === undefined) throw new PermError('cli/usage', `${file} has no line for ${pattern}`)
    // An empty mapping, not a missing value: the key `domains` keeps its comment and can be added to.
    const last = Object.keys(rules).length === 1
    return last
      ? setValue(text, file, ['domains'], {})
      : setValue(text, file, ['domains', key], undefined)
  }
}

/** As the table has it: a domain, `*.domain`, `*` or an address, in A-labels and lower case. PermError cli/usage. */
export function parsePattern(text: string): string {
  const usage = `${JSON.stringify(text)} is no domain, *.domain, *, nor an address`
  try {
    if (text === '*') return text
    if (isAddressPattern(text)) {
      const address = asPattern(text)
      if (address === undefined) throw new PermError('cli/usage', usage)
      return address
    }
    return text.startsWith('*.') ? `*.${normalizeDomain(text.slice(2))}` : normalizeDomain(text)
  } catch (cause) {
    throw new PermError('cli/usage', usage, { cause })
  }
}

function keyOf(rules: Record<string, unknown>, pattern: string): string | undefined {
  return Object.keys(rules).find((key) => samePattern(key, pattern))
}

function samePattern(text: string, pattern: string): boolean {
  try {
    return parsePattern(text) === pattern
  } catch {
    return false
  }
}

function rulesOf(text: string, file: string): Record<string, unknown> | undefined {
  const rules = rootOf(text, file)['domains']
  return typeof rules === 'object' && rules !== null
    ? (rules as Record<string, unknown>)
    : undefined
}

function rootOf(text: string, file: string): Record<string, unknown> {
  return (parseYaml(text, file, 'table/malformed').data ?? {}) as Record<string, unknown>
}

function setValue(
  text: string,
  file: string,
  path: readonly (string | number)[],
  value: unknown,
): string {
  return parseYaml(text, file, 'table/malformed').withValue(path, value)
}
