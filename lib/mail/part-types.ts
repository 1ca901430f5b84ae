// What a multipart message is made of, as far as its first octets show. RFC 2046 section 5.1.1.
import { contentTypeOf } from './content-type.ts'
import { findBlankLine, parseFields, type Field } from './header.ts'

export interface PartTypes {
  /** Of each part that begins there: its header, and its type in lower case (RFC 2045 section 5.2: text/plain by default). */
  readonly parts: readonly { readonly type: string; readonly fields: readonly Field[] }[]
  /** The closing delimiter was seen: there are no more. */
  readonly isComplete: boolean
}

/** Of a message that is no multipart there are no parts. */
export function partTypes(fields: readonly Field[], bodyStart: Uint8Array): PartTypes {
  const root = contentTypeOf(fields)
  const boundary = root?.parameters.get('boundary')
  if (!root?.type.startsWith('multipart/') || !boundary) return { parts: [], isComplete: false }
  const text = `\r\n${Buffer.from(bodyStart).toString('latin1')}`
  // A whole line: the boundary of a part within may begin with this one.
  const escaped = boundary.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  const delimiter = new RegExp(`\\r\\n--${escaped}(--)?[ \\t]*(?=\\r\\n|$)`)
  const [, ...pieces] = text.split(delimiter)
  // Each delimiter gives two: whether it closes, and what follows it.
  const parts: { type: string; fields: Field[] }[] = []
  for (let at = 0; at < pieces.length; at += 2) {
    if (pieces[at] !== undefined) return { parts, isComplete: true }
    const own = headerOf(pieces[at + 1] ?? '')
    parts.push({ type: contentTypeOf(own)?.type ?? 'text/plain', fields: own })
  }
  return { parts, isComplete: false }
}

function headerOf(piece: string): Field[] {
  const bytes = Buffer.from(piece.replace(/^\r\n/, ''), 'latin1')
  const end = findBlankLine(bytes)
  return parseFields(end === -1 ? bytes : bytes.subarray(0, end))
}
