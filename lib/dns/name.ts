// Domain names as they go on the wire: RFC 1035 sections 2.3.4 and 3.1, with A-labels only (RFC 5890).
import { PermError } from '../errors.ts'

const LABEL_MAX_BYTES = 63 // RFC 1035 section 2.3.4
const NAME_MAX_CHARACTERS = 253 // 255 octets on the wire: RFC 1035 section 2.3.4, less the first length and the root

/** The one name without a label. `parseName` refuses it: nobody's mail is there, and who means it says so. */
export const ROOT = '.'

/** The name in lower case and without the final dot. Letters, digits, hyphens and underscores (RFC 8552) only. */
export function parseName(text: string): string {
  const name = text.replace(/\.$/, '')
  if (name === '') throw malformed('is empty')
  if (name.length > NAME_MAX_CHARACTERS) throw malformed('is longer than 253 characters')
  for (const label of name.split('.')) {
    if (label === '') throw malformed('has an empty label')
    if (label.length > LABEL_MAX_BYTES) throw malformed('has a label of more than 63 characters')
    if (!/^[A-Za-z0-9_-]+$/.test(label)) throw malformed('has a character outside of A-labels')
  }
  return name.toLowerCase() // only now: U+212A in lower case is a plain k
}

/** Whether two names are one, RFC 1035 section 2.3.3. */
export function sameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

function malformed(what: string): PermError {
  return new PermError('dns/malformed', `domain name ${what}`)
}
