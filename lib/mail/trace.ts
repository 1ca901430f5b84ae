// Which header fields belong to the way of a message and not to the message: kept when an envelope is opened.
import { replaceComments } from './comments.ts'
import { fieldValue, type Field } from './header.ts'

// RFC 5321 section 4.4 (Received, Return-Path), RFC 8601, RFC 6376, RFC 8617, RFC 7208 section 9.1, and the fields that
// scanners and servers in front of us add. All other fields of the outside are the envelope's own, or were put there by
// somebody on the way, and must not pass for the sender's: a Reply-To added outside is not kept.
const TRACE = new Set([
  'received',
  'return-path',
  'delivered-to',
  'x-original-to',
  'authentication-results',
  'original-authentication-results',
  'dkim-signature',
  'received-spf',
])
const TRACE_PREFIXES = ['arc-', 'x-spam-', 'x-haraka-', 'x-rspamd-', 'x-virus-']

export function isTrace(field: Field): boolean {
  return TRACE.has(field.name) || TRACE_PREFIXES.some((prefix) => field.name.startsWith(prefix))
}

/** In Hisho-Decrypted, until somebody has looked at the signature of what was decrypted. */
export const UNCHECKED = 'signature=unchecked'

/** The two fields that say what was decrypted. Nobody but us may write them. */
export function isMarker(field: Field): boolean {
  return field.name.startsWith('hisho-') || field.name === 'ibemail-decrypted'
}

/** Whether the field is an Authentication-Results in our own name: forged, unless we have just written it (RFC 8601 section 5). */
export function claimsToBeOurs(field: Field, authservIds: ReadonlySet<string>): boolean {
  if (field.name !== 'authentication-results') return false
  // RFC 8601 section 2.2: [CFWS] authserv-id [ CFWS version ] ...; the id may be a quoted string.
  const text = replaceComments(fieldValue(field), ' ').trim()
  const [, quoted, bare] = /^(?:"((?:[^"\\]|\\.)*)"|([^\s;\p{Cc}]*))/u.exec(text) ?? []
  const id = quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? ''
  return authservIds.has(id.replace(/\.$/, '').toLowerCase())
}
