// Fields of a header as Haraka holds it, looked at and removed in place: what is delivered is this list.
import { contentTypeOf } from '../mail/content-type.ts'
import { parseFields, type Field } from '../mail/header.ts'
import { IBEMAIL_TYPE } from '../mail/ibemail-encrypted.ts'
import { claimsToBeOurs, isMarker, UNCHECKED } from '../mail/trace.ts'
import type { Header } from './api.ts'

interface HeaderMaps extends Header {
  headers: Record<string, string[] | undefined>
  headers_decoded: Record<string, string[] | undefined>
}

export function asField(entry: string): Field {
  // Haraka writes a bare CR as CRLF and a space, and folds with LF alone.
  const text = entry.replaceAll('\r\n ', '\r').replaceAll(/\r?\n/g, '\r\n')
  return parseFields(Buffer.from(text))[0] ?? { name: '', raw: new Uint8Array(0) }
}

export function asEntry({ raw }: Field): string {
  return Buffer.from(raw.buffer, raw.byteOffset, raw.length)
    .toString('utf8')
    .replaceAll('\r\n', '\n')
}

/** Plugins look at the maps; the list alone is what is delivered. */
export function forgetName(header: Header, name: string): void {
  const { headers, headers_decoded: decoded } = header as HeaderMaps
  delete headers[name]
  delete decoded[name]
}

const ENCRYPTED = new Set([
  'multipart/encrypted',
  IBEMAIL_TYPE,
  'application/pkcs7-mime',
  'application/x-pkcs7-mime',
  'application/octet-stream', // smime.p7m, by programs and gateways that take it for a file
])
/** As Haraka holds them: without a look at the message. */
export function fieldsNamedIn(header: Header, names: ReadonlySet<string>): Field[] {
  return header.header_list
    .filter((entry) =>
      names.has(
        entry
          .slice(0, Math.max(0, entry.indexOf(':')))
          .trim()
          .toLowerCase(),
      ),
    )
    .map(asField)
}

/** A cheap look before the message is read: most mail is not ours. */
export function looksEncrypted(header: Header): boolean {
  return typesOf(header).some((type) => ENCRYPTED.has(type))
}

const SIGNED = new Set([
  'multipart/signed',
  'application/pkcs7-mime',
  'application/x-pkcs7-mime',
  'application/octet-stream',
])

/** As cheap, for a signature that is a part of the content. */
export function looksSigned(header: Header): boolean {
  return typesOf(header).some((type) => SIGNED.has(type))
}

function typesOf(header: Header): readonly string[] {
  return header.header_list
    .filter((entry) => /^content-type[ \t]*:/i.test(entry))
    .map((entry) => contentTypeOf([asField(entry)])?.type ?? '')
}

/** Puts the result into the field that decrypt wrote. */
export function noteSignature(header: Header, text: string): void {
  const at = header.header_list.findIndex((entry) => /^hisho-decrypted:/i.test(entry))
  const entry = header.header_list[at]
  if (entry === undefined) return
  header.header_list[at] = entry.replace(UNCHECKED, () => text)
  forgetName(header, 'hisho-decrypted')
}

const SUSPECTS = /^\s*(?:hisho-|ibemail-decrypted|authentication-results)|\r/i

/**
 * Removes our marks and Authentication-Results in our name, whoever wrote them. Haraka adds its own of the latter once
 * more after data_post.
 */
export function dropForgedFields(header: Header, authservIds: ReadonlySet<string>): void {
  const kept = header.header_list.filter((entry) => {
    if (!SUSPECTS.test(entry)) return true
    const field = asField(entry.trimStart())
    if (!isMarker(field) && !claimsToBeOurs(field, authservIds)) return true
    forgetName(header, field.name)
    return false
  })
  header.header_list.splice(0, header.header_list.length, ...kept)
}
