// Texts and dates out of a stranger's JSON.

/** Of one text. */
export const MAX_CHARACTERS = 500

// Control characters begin the escapes of terminals; format characters turn the direction of a line, or cannot be seen;
// a lone surrogate is no text; U+2028 and U+2029 end a line.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]/gu

/** A number is taken as its digits; whatever else is no text as none. */
export function safeText(value: unknown): string {
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'string') return ''
  const short = value.length > MAX_CHARACTERS ? cut(value) : value
  return short.replaceAll(UNSAFE, '?').trim()
}

function cut(text: string): string {
  const part = text.slice(0, MAX_CHARACTERS)
  // Half of a pair would become a question mark.
  return /[\uD800-\uDBFF]$/.test(part) ? part.slice(0, -1) : part
}

/** Of other letters the small one may be longer. */
export function asciiLower(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

const FIRST_MS = Date.UTC(2015, 0)
const LAST_MS = Date.UTC(2200, 0)

/** Of RFC 3339, in whole seconds. Taken too: a date without its zone (as UTC), with a blank for the `T`, and seconds since 1970. */
export function instantOf(value: unknown): number | undefined {
  const text = safeText(value)
  const ms = /^\d{9,10}$/.test(text) ? Number(text) * 1000 : Date.parse(withZone(text))
  if (!(ms >= FIRST_MS && ms < LAST_MS)) return undefined
  return Math.floor(ms / 1000) * 1000
}

const DATE =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?\s*(Z|[+-]\d\d:?\d\d)?$/i

function withZone(text: string): string {
  const [, day, time = '00:00:00', zone = 'Z'] = DATE.exec(text) ?? []
  return day === undefined ? '' : `${day}T${time}${zone.toUpperCase()}`
}
