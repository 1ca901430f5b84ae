// What the header outside of a ciphertext shows of the original: docs/formats.md, "The message".
import type { Field } from './header.ts'

/** All else is inside only. */
const SHOWN = new Set([
  'from',
  'to',
  'cc',
  'date',
  'message-id',
  'references',
  'in-reply-to',
  'tls-required', // for the servers on the way: RFC 8689 section 3
])

export function shownFields(original: readonly Field[]): Field[] {
  return original.filter((field) => SHOWN.has(field.name)).map(asAscii)
}

// The outer header passes MTAs without SMTPUTF8; whatever is not printable is inside, exact, and a '?' outside.
function asAscii(field: Field): Field {
  const text = Buffer.from(field.raw.buffer, field.raw.byteOffset, field.raw.length).toString(
    'latin1',
  )
  if (/^(?:[\t -~]*\r\n)+$/.test(text)) return field
  const printable = text
    .replace(/\r?\n$/, '')
    .replaceAll(/\r?\n/g, '\n')
    .replaceAll(/[^\t\n -~]/g, '?')
    .replaceAll('\n', '\r\n')
  return { name: field.name, raw: new TextEncoder().encode(`${printable}\r\n`) }
}
