// Fields of a stranger's JSON, as the reader of a report asks for them, and what was odd about them.
import { domainToASCII } from 'node:url'
import { asciiLower, MAX_CHARACTERS, safeText } from './plain-text.ts'

/** Members of an object. Only its own are seen, whatever they are called. */
export type Fields = Readonly<Record<string, unknown>>

const MAX_DEVIATIONS = 20
/** More sessions than anybody has in a day. */
const MAX_COUNT = 1e12

export class Reading {
  readonly deviations: string[] = []
  /** The hosts of a thousand rows are few. */
  private readonly domains = new Map<string, string>()

  /** In the words of the standard, each thing once. */
  deviates(what: string): void {
    if (this.deviations.length < MAX_DEVIATIONS && !this.deviations.includes(what))
      this.deviations.push(what)
  }

  object(value: unknown, where: string): Fields | undefined {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      // Without a prototype, so that `constructor` is no member that nobody wrote.
      return Object.assign(Object.create(null) as Record<string, unknown>, value)
    }
    this.deviates(`${withoutIndex(where)}: no object`)
    return undefined
  }

  /** One thing is taken for a list of it. */
  list(value: unknown, name: string, most: number): readonly unknown[] {
    if (value === undefined || value === null) return []
    if (!Array.isArray(value)) {
      this.deviates(`${name}: no array`)
      return [value]
    }
    if (value.length > most) this.deviates(`${name}: only ${most} of ${value.length} are read`)
    return value.slice(0, most)
  }

  text(fields: Fields, name: string, need: 'needed' | 'optional' = 'optional'): string {
    const value = fields[name]
    const text = safeText(value)
    if (need === 'needed' && text === '') this.deviates(`${name}: missing`)
    else if (value !== undefined && value !== null && typeof value !== 'string')
      this.deviates(`${name}: no string`)
    return text
  }

  /** As A-labels where it is a name that has them, RFC 8460 section 4.4. */
  domain(fields: Fields, name: string, need: 'needed' | 'optional' = 'optional'): string {
    const text = this.text(fields, name, need)
    const known = this.domains.get(text) ?? domainOf(text)
    this.domains.set(text, known)
    return known
  }

  count(fields: Fields, name: string): number {
    const value = fields[name]
    const number =
      typeof value === 'string' && /^\s*\d{1,20}\s*$/.test(value) ? Number(value) : value
    if (typeof value !== 'number') this.deviates(`${name}: no number`)
    if (typeof number !== 'number' || !(number > 0)) {
      if (number !== 0) this.deviates(`${name}: taken as 0`)
      return 0
    }
    if (number > MAX_COUNT) this.deviates(`${name}: more than can be`)
    return Math.min(Math.floor(number), MAX_COUNT)
  }
}

/** What is no name stays as it is. */
export function domainOf(text: string): string {
  const name = withoutLastDots(text)
  const ascii = domainToASCII(name)
  if (ascii.length > MAX_CHARACTERS) return asciiLower(name).replaceAll(/[^ -~]/g, '_')
  // A dot of another script has become a dot.
  return withoutLastDots(ascii || asciiLower(name))
}

function withoutLastDots(name: string): string {
  return name.replace(/[\s.]+$/, '')
}

function withoutIndex(where: string): string {
  return where.replaceAll(/\[\d+\]/g, '')
}
