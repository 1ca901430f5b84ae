// Which header fields belong to the way of a message and not to the message: kept when an envelope is opened.
import { replaceComments } from './comments.ts'
import { fieldValue, parseFields, type Field } from './header.ts'

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

/** The fields that say what was decrypted. Nobody but us may write them. */
export function isMarker(field: Field): boolean {
  return isMarkerName(field.name) || hiddenFields(field).some(({ name }) => isMarkerName(name))
}

function isMarkerName(name: string): boolean {
  return name.startsWith('hisho-') || name === 'ibemail-decrypted'
}

const NOTHING: readonly Field[] = []

/**
 * What a forgiving reader may take for fields of their own: behind a bare CR, and a name with something in it that does not
 * print. (Letters of other scripts in a name make another name for everybody.)
 */
function hiddenFields({ name, raw }: Field): readonly Field[] {
  const at = raw.indexOf(CR)
  if (name !== '' && (at === -1 || at >= raw.length - 2)) return NOTHING
  const text = Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('latin1')
  const pieces = text.split(/\r(?!\n)/)
  const odd = name === '' ? pieces : pieces.slice(1)
  return odd.flatMap((piece) => parseFields(Buffer.from(printable(piece), 'latin1')))
}

const CR = 0x0d

/** The part in front of the colon without what does not print. */
function printable(piece: string): string {
  const colon = piece.indexOf(':')
  return piece.slice(0, colon + 1).replaceAll(/[^!-~]/g, '') + piece.slice(colon + 1)
}

/** Whether the field is an Authentication-Results in our own name: forged, unless we have just written it (RFC 8601 section 5). */
export function claimsToBeOurs(field: Field, authservIds: ReadonlySet<string>): boolean {
  if (field.name !== 'authentication-results')
    return hiddenFields(field).some(
      (hidden) => hidden.name === 'authentication-results' && claimsToBeOurs(hidden, authservIds),
    )
  // RFC 8601 section 2.2: [CFWS] authserv-id [ CFWS version ] ...; the id may be a quoted string.
  const text = replaceComments(fieldValue(field), ' ').trim()
  const [, quoted, bare] = /^(?:"((?:[^"\\]|\\.)*)"|([^\s;\p{Cc}]*))/u.exec(text) ?? []
  const id = quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? ''
  return authservIds.has(id.replace(/\.$/, '').toLowerCase())
}
