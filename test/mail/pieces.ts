// Bytes in pieces, as a connection or a file may bring them.
import fc from 'fast-check'
import type { Field } from '../../lib/mail/header.ts'
import { collect, headerBytes, type Message } from '../../lib/mail/message.ts'

export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'))
}

/** Cuts at these places (taken modulo the length); equal places give empty pieces. */
export function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = places.map((place) => place % (bytes.length + 1)).sort((one, other) => one - other)
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length))
}

export const places = fc.array(fc.nat(), { maxLength: 12 })

/** Text in which line ends, dots, colons and blanks are frequent. */
const roughText = fc
  .array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.constantFrom(
          '\r\n',
          '\r\n\r\n',
          '\n',
          '\r',
          ':',
          ' ',
          '\t',
          '.',
          'a',
          '-',
          '=',
        ),
      },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 3 }) },
    ),
    { maxLength: 40 },
  )
  .map((parts) => Uint8Array.from(Buffer.from(parts.join(''), 'utf8')))

export const anyBytes = fc.oneof(roughText, fc.uint8Array({ maxLength: 200 }))

/** What a message is, in a form that can be compared. */
export async function seen(message: Message): Promise<Record<string, unknown>> {
  return {
    fields: message.fields.map(shown),
    separator: latin1(message.separator),
    body: latin1(await collect(message.body)),
  }
}

export function shown(field: Field): { name: string; raw: string } {
  return { name: field.name, raw: latin1(field.raw) }
}

export async function whole(message: Message): Promise<Uint8Array> {
  return Buffer.concat([
    headerBytes(message.fields, message.separator),
    await collect(message.body),
  ])
}
