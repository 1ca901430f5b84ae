// The keys of the domain table: a domain, `*.domain`, `*`, or one address; and which of them speak for whom.
import { domainToASCII } from 'node:url'
import { normalizeAddress } from '../ibe/identity.ts'

const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?'
const NAME = new RegExp(`^(?:${LABEL}\\.)*${LABEL}$`)

/** As nearly all names come: nothing to be mapped, no A-label to be checked, and not the look of an address. */
const PLAIN_NAME = new RegExp(`^(?:(?!xn--)${LABEL}\\.)*(?!xn--)[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

/** In A-labels and lower case; undefined: no domain name. */
export function asDomain(text: string): string | undefined {
  if (PLAIN_NAME.test(text)) return text
  // domainToASCII is a URL's: it would cut at '/', '?' and '#', and decode %62.
  if (/[^\w.\-\u0080-\u{10ffff}]/u.test(text)) return undefined
  const name = domainToASCII(text.replace(/\.$/, '')).toLowerCase()
  return NAME.test(name) ? name : undefined
}

/** A key of the table in the one form that stands for it. undefined: it is none. */
export function asPattern(key: string): string | undefined {
  if (key === '*') return key
  // All of a domain is the domain itself.
  if (key.includes('@')) return key.startsWith('*@') ? undefined : asAddress(key)
  if (!key.startsWith('*.')) return asDomain(key)
  const tail = asDomain(key.slice(2))
  return tail && `*.${tail}`
}

/** Normalised; undefined: no address. */
export function asAddress(text: string): string | undefined {
  try {
    return normalizeAddress(text)
  } catch {
    return undefined
  }
}

export function isAddressPattern(pattern: string): boolean {
  return pattern.includes('@')
}

/**
 * Those that speak for a name, the most specific one first: `a.b.c` gives a.b.c, *.b.c, *.c, *. A key of the table is asked
 * for in the same way: `*.b.c` gives *.b.c, *.c, *, and `user@b.c` itself before those of b.c.
 */
export function patternsFor(name: string): string[] {
  const at = name.lastIndexOf('@')
  if (at !== -1) return [name, ...patternsFor(name.slice(at + 1))]
  if (name === '*') return [name]
  const labels = name.split('.')
  const tails = labels.slice(1).map((_, place) => `*.${labels.slice(place + 1).join('.')}`)
  return [...new Set([name, ...tails, '*'])]
}
