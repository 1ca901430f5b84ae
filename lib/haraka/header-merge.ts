// Haraka keeps a header twice: as it came (bytes, in the message stream) and as parsed (strings, which plugins edit).
// The strings are not exact (bytes that are no UTF-8, leading dots, a bare CR); the bytes know no edits. Both together are.
import type { Field } from '../mail/header.ts'

/** How Haraka 3.3 writes a field into `header.header_list` (haraka-email-message, Header.parse). */
function asHarakaKeepsIt(field: Field): string {
  const text = Buffer.from(field.raw.buffer, field.raw.byteOffset, field.raw.length).toString(
    'utf8',
  )
  if (text.endsWith('\r\n') && text.indexOf('\r') === text.length - 2)
    return `${text.slice(0, -2)}\n` // one line, as most are
  return text.replaceAll('\r\n', '\n').replaceAll(/\r(?!\n)/g, '\r\n ')
}

/** Whether Haraka delivers this field as it came: it is UTF-8, has no dot at the start of a line, and no bare CR. */
export function isKeptExactly(field: Field): boolean {
  // Nearly all: ASCII, without a bare CR and without a dot at the start of a line.
  const ascii = Buffer.from(field.raw.buffer, field.raw.byteOffset, field.raw.length)
  if (/^(?:(?!\.)[\t -~]+\r\n)+$/.test(ascii.toString('latin1'))) return field.name !== ''
  const text = asHarakaKeepsIt(field)
  const back = Buffer.from(text.replaceAll('\n', '\r\n'))
  return field.name !== '' && !/^\./m.test(text) && back.equals(field.raw)
}

/**
 * The fields as they were received, with what plugins have added and without what they have removed.
 * `keep` names fields that stay although they are gone from the list.
 */
export function mergeFields(
  received: readonly Field[],
  headerList: readonly string[],
  keep: (field: Field) => boolean,
): Field[] {
  // By text, since plugins move fields too: the list has the order, what was received has the bytes.
  const places = new Map<string, number[]>()
  for (const [at, field] of received.entries()) {
    const text = asHarakaKeepsIt(field)
    const same = places.get(text)
    if (same) same.push(at)
    else places.set(text, [at])
  }
  const found = headerList.map((entry) => ({ entry, at: places.get(entry)?.shift() }))
  const used = new Set(found.map(({ at }) => at))
  const staying = received.flatMap((field, at) =>
    !used.has(at) && (staysAnyway(field) || keep(field)) ? [{ field, at }] : [],
  )
  const merged: Field[] = []
  let placed = 0
  const placeThoseBefore = (end: number): void => {
    while ((staying[placed]?.at ?? Infinity) < end) merged.push(staying[placed++]!.field)
  }
  for (const { entry, at } of found) {
    if (at !== undefined) placeThoseBefore(at)
    merged.push(at === undefined ? addedField(entry) : received[at]!)
  }
  placeThoseBefore(received.length)
  return merged
}

/** Haraka itself drops these while parsing, nobody meant to remove them: no name, or one that is unsafe in JavaScript. */
function staysAnyway(field: Field): boolean {
  return (
    field.name === '' || ['__proto__', 'constructor', 'prototype', '.', '..'].includes(field.name)
  )
}

function addedField(entry: string): Field {
  const text = entry.endsWith('\n') ? entry : `${entry}\n`
  const raw = Buffer.from(text.replaceAll(/\r?\n/g, '\r\n'), 'utf8')
  const name = /^([!-9;-~]+)[ \t]*:/.exec(text)?.[1] ?? ''
  return { name: name.toLowerCase(), raw }
}

const AUTH = 'authentication-results'
const ORIGINAL_AUTH = 'original-authentication-results'

/**
 * Haraka renames every Authentication-Results of a message it receives (clean_auth_results). In the message of one of
 * our own users this is undone: the recipient's server judges what it believes, and nothing else of the message changed.
 */
export function undoAuthResultsRenaming(
  fields: readonly Field[],
  received: readonly Field[],
): Field[] {
  const hadOriginal = new Set(
    received.filter((field) => field.name === ORIGINAL_AUTH).map(asHarakaKeepsIt),
  )
  return fields.filter(
    (field) => field.name !== ORIGINAL_AUTH || hadOriginal.has(asHarakaKeepsIt(field)),
  )
}

export function isAuthResults(field: Field): boolean {
  return field.name === AUTH
}
