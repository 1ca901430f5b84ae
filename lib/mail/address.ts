// Address lists of header fields, RFC 5322 section 3.4 with RFC 6532: groups, comments, quoted local parts, UTF-8.
// @haraka/email-address does the grammar; it is imported here and nowhere else.
import { parseEnvelope, parseHeader, type Address } from '@haraka/email-address'
import { fieldsNamed, fieldValue, type Field } from './header.ts'

/** Words and one address, as nearly all fields have it: a grammar is not needed to read that. */
const PLAIN_ADDRESS = String.raw`[\w+-]+(?:\.[\w+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`
const PLAIN_MAILBOX = new RegExp(`^(?:[A-Za-z0-9 ]*<(${PLAIN_ADDRESS})>|(${PLAIN_ADDRESS}))$`)

/**
 * The addresses (`local@domain`, as written) in all fields of that name, members of groups included.
 * A field that does not parse gives none: whoever is not seen in it counts as a Bcc recipient.
 */
export function mailboxesIn(fields: readonly Field[], name: string): string[] {
  return fieldsNamed(fields, name).flatMap((field) => {
    const value = fieldValue(field)
    const [, bracketed, bare] = PLAIN_MAILBOX.exec(value) ?? []
    if (bracketed !== undefined || bare !== undefined) return [bracketed ?? bare ?? '']
    try {
      return parseHeader(value).flatMap((entry) => addressesOf(entry))
    } catch {
      return []
    }
  })
}

function addressesOf(entry: object): string[] {
  if ('addresses' in entry && Array.isArray(entry.addresses)) {
    return entry.addresses.flatMap((member: object) => addressesOf(member))
  }
  return 'address' in entry && typeof entry.address === 'string' ? [entry.address] : []
}

/** An address of an envelope, such as a server keeps it; '' is the null one. RFC 5321 section 4.1.2. */
export function envelopeAddress(text: string): Address {
  return parseEnvelope(`<${text}>`)
}
