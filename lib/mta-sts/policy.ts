// The policy file of MTA-STS: RFC 8461 section 3.2.
import { PermError } from '../errors.ts'
import { trimBlanks } from './blanks.ts'

export type Mode = 'enforce' | 'testing' | 'none'

export interface Policy {
  readonly mode: Mode
  readonly maxAgeSeconds: number
  /** Patterns as A-labels in lower case: a host name, or `*.` and a host name. */
  readonly mx: readonly string[]
  /** The lines as they were fetched, errors included, for reports: RFC 8460 section 4.5. */
  readonly lines: readonly string[]
}

/** About a year: RFC 8461 section 3.2. */
const MAX_AGE_LIMIT_SECONDS = 31_557_600

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/
/** Neither control characters nor blanks around it; UTF-8 may stand in fields that are not known. */
const VALUE =
  /^[\x21-\x7e\u0080-\u{10ffff}](?:[\x20-\x7e\u0080-\u{10ffff}]*[\x21-\x7e\u0080-\u{10ffff}])?$/u
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const DOMAIN_MAX_CHARACTERS = 253

/**
 * PermError mta-sts/policy, whose text names the field. One bad `mx` line makes the whole policy invalid, as the ABNF has
 * it: half of a list would refuse mail to hosts that its owner meant to allow. Empty lines, which the ABNF does not have
 * either, are passed over: they change nothing, and to refuse the policy would be to give up its protection.
 */
export function parsePolicy(text: string): Policy {
  const lines = linesOf(text)
  const first = new Map<string, string>()
  const mx: string[] = []
  for (const line of lines) {
    const [name, value] = parseField(line)
    if (name === 'mx') mx.push(parsePattern(value))
    // RFC 8461 section 3.2: of any other field the first counts.
    else if (!first.has(name)) first.set(name, value)
  }
  if (required(first, 'version') !== 'STSv1') throw malformed('version', 'not STSv1')
  const mode = parseMode(required(first, 'mode'))
  const maxAgeSeconds = parseMaxAge(required(first, 'max_age'))
  if (mx.length === 0 && mode !== 'none') throw malformed('mx', 'missing')
  return { mode, maxAgeSeconds, mx, lines }
}

/** Its lines are made anew. PermError mta-sts/policy for what could not be read back. */
export function formatPolicy({ mode, maxAgeSeconds, mx }: Omit<Policy, 'lines'>): string {
  const fields = [
    'version: STSv1',
    `mode: ${mode}`,
    ...mx.map((pattern) => `mx: ${pattern}`),
    `max_age: ${maxAgeSeconds}`,
  ]
  const text = fields.map((field) => `${field}\r\n`).join('')
  const read = parsePolicy(text)
  if (read.maxAgeSeconds !== maxAgeSeconds) throw malformed('max_age', 'more than a year')
  // A line end within a value would be another line.
  if (read.lines.length !== fields.length) throw malformed('policy', 'has a value of two lines')
  return text
}

function linesOf(text: string): readonly string[] {
  return text.split(/\r?\n/).filter((line) => !/^[ \t]*$/.test(line))
}

function parseField(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  if (colon === -1) throw malformed('policy', 'has a line without a colon')
  const name = line.slice(0, colon)
  if (!NAME.test(name)) throw malformed('policy', 'has a line that does not begin with a field')
  const value = trimBlanks(line.slice(colon + 1))
  if (!VALUE.test(value)) throw malformed(name, value === '' ? 'empty' : 'has a control character')
  return [name, value]
}

function required(fields: ReadonlyMap<string, string>, name: string): string {
  const value = fields.get(name)
  if (value === undefined) throw malformed(name, 'missing')
  return value
}

function parseMode(value: string): Mode {
  if (value === 'enforce' || value === 'testing' || value === 'none') return value
  throw malformed('mode', 'not enforce, testing or none')
}

function parseMaxAge(value: string): number {
  if (!/^\d{1,10}$/.test(value)) throw malformed('max_age', 'not one to ten digits')
  // The ABNF has ten digits and the text a maximum: so a larger number is no fault of the file, which a parser must
  // accept (RFC 8461 section 3.2), but nothing is kept for longer.
  return Math.min(Number(value), MAX_AGE_LIMIT_SECONDS)
}

/** `["*."] Domain`, the Domain of RFC 5321 section 4.1.2. */
function parsePattern(value: string): string {
  // Before anything is made lower case: U+212A would become a plain k.
  if (/[^\x21-\x7e]/.test(value)) throw malformed('mx', 'not in A-labels') // RFC 8461 section 3.2
  const pattern = value.toLowerCase()
  const name = pattern.startsWith('*.') ? pattern.slice(2) : pattern
  if (name.length > DOMAIN_MAX_CHARACTERS) throw malformed('mx', 'longer than 253 characters')
  const labels = name.split('.')
  if (!labels.every((label) => LABEL.test(label))) throw malformed('mx', 'not a host name')
  // What ends in a number is an address, not a name: RFC 3696 section 2.
  if (/^\d+$/.test(labels.at(-1) ?? '')) throw malformed('mx', 'an address, not a host name')
  return pattern
}

function malformed(field: string, what: string): PermError {
  return new PermError('mta-sts/policy', `${field}: ${what}`)
}
