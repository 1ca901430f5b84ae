// What a mail program runs or loads by itself when it shows a part, and how far its header can be believed. RFC 2045 section 5.
import { replaceComments } from './comments.ts'
import { contentTypeOf } from './content-type.ts'
import { fieldsNamed, fieldValue, formatField, type Field } from './header.ts'

/** What is behind a header. `active`: nothing that should be shown as what it says that it is. */
export type Behind =
  | { readonly kind: 'active' }
  | { readonly kind: 'passive' }
  | { readonly kind: 'message' }
  | { readonly kind: 'multipart'; readonly boundary: string; readonly isDigest: boolean }

const ACTIVE: Behind = { kind: 'active' }

/**
 * Mail programs do not agree on a header that breaks the rules, and one of them may find HTML there: so whatever could be read
 * in two ways is active. `isOfDigest`: the part is of a multipart/digest.
 */
export function whatIsBehind(fields: readonly Field[], isOfDigest: boolean): Behind {
  // RFC 2046 section 5.1.5: in a digest the default is message/rfc822.
  if (fieldsNamed(fields, 'content-type').length === 0)
    return { kind: isOfDigest ? 'message' : 'passive' }
  const type = contentTypeOf(fields)?.type
  if (type === undefined || !RESTRICTED_NAMES.test(type) || isActive(type)) return ACTIVE
  if (type.startsWith('message/')) return isEncoded(fields) ? ACTIVE : { kind: 'message' }
  if (!type.startsWith('multipart/')) return { kind: 'passive' }
  const boundary = boundaryOf(fields)
  return boundary === undefined || isEncoded(fields)
    ? ACTIVE
    : { kind: 'multipart', boundary, isDigest: type === 'multipart/digest' }
}

const RESTRICTED_NAMES = /^[a-z0-9][\w!#$&^.+-]*\/[a-z0-9][\w!#$&^.+-]*$/
// RFC 2046 section 4.1.4: text of a kind that is not known is shown as text/plain.
const TEXT = /^text\/(?!(?:plain|calendar|csv|vcard|x-vcard|directory)$)/
const MARKUP = /html|svg|(?:java|ecma)script|\/(?:.*\+)?xml(?:-.*)?$/
const LOADING = new Set([
  'message/external-body',
  'multipart/x-mixed-replace',
  'application/ms-tnef', // Outlook shows the HTML in it
  'application/vnd.ms-tnef',
])

function isActive(type: string): boolean {
  return TEXT.test(type) || MARKUP.test(type) || LOADING.has(type)
}

/** RFC 2045 section 6.4: what has parts of its own is never encoded. Some decode it all the same. */
function isEncoded(fields: readonly Field[]): boolean {
  return fieldsNamed(fields, 'content-transfer-encoding').some(
    (field) => !/^(?:7bit|8bit|binary)$/i.test(replaceComments(fieldValue(field), '').trim()),
  )
}

/** undefined: none, or one that two programs could read as two. */
function boundaryOf(fields: readonly Field[]): string | undefined {
  const value = fieldsNamed(fields, 'content-type').map(fieldValue).join()
  const boundary = contentTypeOf(fields)?.parameters.get('boundary')?.trimEnd()
  const isOne = value.match(/boundary[\d*]*\s*=/gi)?.length === 1
  const isPlain = replaceComments(value, '') === value
  return isOne && isPlain && boundary && /^[!#-[\]-~][ !#-[\]-~]{0,199}$/.test(boundary)
    ? boundary
    : undefined
}

/** The same header with text/plain for its type, in the charset that it names. */
export function withPlainType(fields: readonly Field[]): Field[] {
  const charset = contentTypeOf(fields)?.parameters.get('charset') ?? ''
  const parameter = /^[\w.:+-]{1,40}$/.test(charset) ? `; charset="${charset}"` : ''
  const plain = formatField('Content-Type', `text/plain${parameter}`)
  const first = fields.findIndex(({ name }) => name === 'content-type')
  return fields.flatMap((field, at) => {
    if (at === first) return [plain]
    return field.name === 'content-type' ? [] : [field]
  })
}
