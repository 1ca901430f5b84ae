// The domain of a mail address as A-labels: RFC 5890, UTS 46 by node:url.
import { domainToASCII } from 'node:url'
import { PermError } from '../errors.ts'

const DOMAIN_MAX_CHARACTERS = 253
/** Before some of them are taken away or put together: far more than any domain needs. */
const TEXT_MAX_CHARACTERS = 4 * DOMAIN_MAX_CHARACTERS
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** A-labels in lower case without a trailing dot. PermError mail/malformed for what is no host name. */
export function normalizeDomain(text: string): string {
  // Before domainToASCII, whose time for Punycode grows with the square of its length.
  if (text.length > TEXT_MAX_CHARACTERS) throw malformed('is longer than 253 characters')
  // domainToASCII is a URL's: it cuts at '/', '?' and '#', decodes %62 and reads 0x7f.1 as an IP address.
  if (/[^A-Za-z0-9.\-\u0080-\u{10ffff}]/u.test(text))
    throw malformed('has a character outside of host names')
  const domain = domainToASCII(text).replace(/\.$/, '')
  if (domain.length > DOMAIN_MAX_CHARACTERS) throw malformed('is longer than 253 characters')
  const labels = domain.split('.')
  if (!labels.every((label) => LABEL.test(label))) throw malformed('has a label that is none')
  // What ends in a number is an address, not a name: RFC 3696 section 2.
  if (/^[0-9]+$/.test(labels.at(-1)!)) throw malformed('is an address')
  return domain
}

function malformed(what: string): PermError {
  return new PermError('mail/malformed', `domain ${what}`)
}
