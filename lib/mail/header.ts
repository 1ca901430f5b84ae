// Header fields as bytes, RFC 5322 section 2.2. Nothing is normalised: a field keeps the very bytes it came in.

const CR = 0x0d
const LF = 0x0a
const COLON = 0x3a

/** One field with its folded lines and its last CRLF. A line that is no field (no colon) has the name ''. */
export interface Field {
  /** Lower case. Blanks before the colon (obsolete syntax, RFC 5322 section 4.5) are not part of it. */
  readonly name: string
  readonly raw: Uint8Array
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')

/** Cuts a header block, CRLF lines and no empty one, into fields. Total: any bytes give fields whose concatenation is the block. */
export function parseFields(block: Uint8Array): Field[] {
  const fields: Field[] = []
  let start = 0
  while (start < block.length) {
    let end = endOfLine(block, start)
    // RFC 5322 section 2.2.3: a line that begins with white space continues the field above.
    while (end < block.length && (block[end] === 0x20 || block[end] === 0x09))
      end = endOfLine(block, end)
    const raw = block.subarray(start, end)
    fields.push({ name: nameOf(raw), raw })
    start = end
  }
  return fields
}

function endOfLine(bytes: Uint8Array, from: number): number {
  const at = bytes.indexOf(LF, from)
  return at === -1 ? bytes.length : at + 1
}

function nameOf(raw: Uint8Array): string {
  const colon = raw.indexOf(COLON)
  if (colon < 1) return ''
  const name = latin1(raw.subarray(0, colon)).trimEnd()
  return /^[!-9;-~]+$/.test(name) ? name.toLowerCase() : ''
}

/** The value, unfolded (RFC 5322 section 2.2.3), as UTF-8 text (RFC 6532), without the white space around it. */
export function fieldValue(field: Field): string {
  const text = Buffer.from(field.raw.buffer, field.raw.byteOffset, field.raw.length).toString(
    'utf8',
  )
  return text
    .slice(text.indexOf(':') + 1)
    .replaceAll(/\r?\n/g, '')
    .trim()
}

export function fieldsNamed(fields: readonly Field[], name: string): Field[] {
  return fields.filter((field) => field.name === name)
}

/** A field of our own. The value must be printable ASCII, folds and all. */
export function formatField(name: string, value: string): Field {
  return { name: name.toLowerCase(), raw: new TextEncoder().encode(`${name}: ${value}\r\n`) }
}

/** For a field of our own: printable ASCII in quotes, what is not as `?`. */
export function formatQuoted(text: string): string {
  return `"${text.replaceAll(/[^ !#-[\]-~]/g, '?')}"`
}

/** Where the header block ends: the offset of the empty line, or -1 while none is seen. */
export function findBlankLine(bytes: Uint8Array): number {
  if (bytes[0] === CR && bytes[1] === LF) return 0
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const at = view.indexOf('\r\n\r\n')
  return at === -1 ? -1 : at + 2
}

/** How many bytes at the start look like header fields: what to call the header of a message that has no empty line. */
export function headerLikeLength(bytes: Uint8Array): number {
  let at = 0
  while (at < bytes.length) {
    const end = endOfLine(bytes, at)
    if (!/^(?:[^\s:]*[ \t]*:|[ \t])/.test(latin1(bytes.subarray(at, Math.min(end, at + 1000)))))
      break
    at = end
  }
  return at
}
