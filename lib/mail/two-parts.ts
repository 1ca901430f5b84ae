// A body of two parts, in memory and with their very bytes: multipart/signed and multipart/encrypted, RFC 1847 section 2.
import { contentTypeOf } from './content-type.ts'
import { findBlankLine, parseFields, type Field } from './header.ts'
import { GrowingBytes } from './large-bytes.ts'
import { closeBody, type Message } from './message.ts'
import { malformed } from './part-reader.ts'

export interface Part {
  /** Header and body, without the line end that belongs to the delimiter: what a signature is over (RFC 1847 section 2.1). */
  readonly raw: Uint8Array
  readonly fields: readonly Field[]
  readonly body: Uint8Array
}

/** Whether the root of a message is of this type and of this protocol, both in lower case. */
export function hasProtocol(fields: readonly Field[], type: string, protocol: string): boolean {
  const found = contentTypeOf(fields)
  return found?.type === type && found.parameters.get('protocol')?.toLowerCase() === protocol
}

/**
 * What stands before the first delimiter and behind the last is nobody's content (RFC 2046 section 5.1.1). The body is closed
 * in any case. PermError mail/malformed if there are not two parts, or more octets than `limit`.
 */
export async function readTwoParts(
  message: Message,
  limit: number,
): Promise<readonly [Part, Part]> {
  const body = await collectLimited(message, limit)
  return twoPartsIn(message.fields, body)
}

/** As `readTwoParts`, of a body that is there, with the line end that stands before it. Nothing is copied. */
export function twoPartsIn(fields: readonly Field[], body: Uint8Array): readonly [Part, Part] {
  const boundary = contentTypeOf(fields)?.parameters.get('boundary')
  if (!boundary) throw malformed('boundary: the parameter is missing')
  const text = Buffer.from(body.buffer, body.byteOffset, body.length)
  const parts = cut(text, `\r\n--${boundary}`).map(partOf)
  const [first, second] = parts
  if (!first || !second || parts.length !== 2) throw malformed('there are not two parts')
  return [first, second]
}

/** With a line end before it: that of a delimiter which begins it. */
async function collectLimited(message: Message, limit: number): Promise<Uint8Array> {
  const all = new GrowingBytes(limit + LINE_END.length)
  all.append(LINE_END)
  try {
    for await (const piece of message.body) {
      if (all.length - LINE_END.length + piece.length > limit)
        throw malformed(`longer than ${limit} octets`)
      all.append(piece)
    }
  } finally {
    await closeBody(message)
  }
  return all.take()
}

const LINE_END = Buffer.from('\r\n')

/** What belongs to a delimiter, behind it. undefined: what stands there makes it another boundary. */
export function delimiterRest(body: Buffer, behind: number): string | undefined {
  const line = body.subarray(behind, behind + 80).toString('latin1')
  return /^(?:--)?[ \t]*(?:\r\n|$)/.exec(line)?.[0]
}

function cut(body: Buffer, delimiter: string): Uint8Array[] {
  const parts: Uint8Array[] = []
  let start: number | undefined
  for (let at = body.indexOf(delimiter); at !== -1; at = body.indexOf(delimiter, at + 2)) {
    const behind = at + delimiter.length
    const rest = delimiterRest(body, behind)
    if (rest === undefined) continue
    if (start !== undefined) parts.push(body.subarray(start, Math.max(start, at)))
    if (rest.startsWith('--')) return parts
    if (parts.length === 2) throw malformed('there are not two parts')
    start = behind + rest.length
  }
  throw malformed('it ends before its last delimiter')
}

export function partOf(raw: Uint8Array): Part {
  const end = findBlankLine(raw)
  if (end === -1) throw malformed('a part without an empty line')
  return { raw, fields: parseFields(raw.subarray(0, end)), body: raw.subarray(end + 2) }
}
