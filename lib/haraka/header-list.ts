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

function asField(entry: string): Field {
  return (
    parseFields(Buffer.from(entry.replaceAll(/\r?\n/g, '\r\n')))[0] ?? {
      name: '',
      raw: new Uint8Array(0),
    }
  )
}

function forget(maps: HeaderMaps, name: string): void {
  delete maps.headers[name]
  delete maps.headers_decoded[name]
}

const ENCRYPTED = new Set(['multipart/encrypted', IBEMAIL_TYPE])

/** A cheap look before the message is read: most mail is not ours. */
export function looksEncrypted(header: Header): boolean {
  const types = header.header_list.filter((entry) => /^content-type[ \t]*:/i.test(entry))
  return types.some((entry) => ENCRYPTED.has(contentTypeOf([asField(entry)])?.type ?? ''))
}

/** Puts the result into the field that decrypt wrote. */
export function noteSignature(header: Header, status: string): void {
  const at = header.header_list.findIndex((entry) => /^hisho-decrypted:/i.test(entry))
  const entry = header.header_list[at]
  if (entry === undefined) return
  header.header_list[at] = entry.replace(UNCHECKED, `signature=${status}`)
  forget(header as HeaderMaps, 'hisho-decrypted')
}

const SUSPECTS = /^\s*(?:hisho-|ibemail-decrypted|authentication-results)/i

/**
 * Removes our marks and Authentication-Results in our name, whoever wrote them. Haraka adds its own of the latter once
 * more after data_post.
 */
export function dropForgedFields(header: Header, authservIds: ReadonlySet<string>): void {
  const maps = header as HeaderMaps
  const kept = header.header_list.filter((entry) => {
    if (!SUSPECTS.test(entry)) return true
    const field = asField(entry.trimStart())
    if (!isMarker(field) && !claimsToBeOurs(field, authservIds)) return true
    // Plugins look at the maps; all values of the name go, the list alone is what is delivered.
    forget(maps, field.name)
    return false
  })
  header.header_list.splice(0, header.header_list.length, ...kept)
}
