// The `tag=value;` list of a parameter record or of a signature, and what its values have in common.
import { PermError } from '../errors.ts'

const SPACE = '[ \\t\\r\\n]*'
const TAG = new RegExp(`^${SPACE}([A-Za-z][A-Za-z0-9_-]*)${SPACE}=${SPACE}(.*?)${SPACE}$`, 's')
const BLANK = new RegExp(`^${SPACE}$`)
const TEXT_MAX_CHARACTERS = 4096

/** The error for what a tag holds, or for the whole, which is called `record`. */
export type Refuse = (tag: string, reason: string) => PermError

/** Tags and values in order. A tag given twice makes the record invalid; a trailing `;` is allowed. */
export function parseTagList(
  text: string,
  refuse: Refuse = malformed,
): ReadonlyMap<string, string> {
  if (text.length > TEXT_MAX_CHARACTERS) throw refuse('record', 'is too long')
  const items = text.split(';')
  if (items.length > 1 && BLANK.test(items.at(-1)!)) items.pop()
  const tags = new Map<string, string>()
  for (const item of items) {
    const [, tag, value] = TAG.exec(item) ?? []
    if (tag === undefined || value === undefined)
      throw refuse('record', 'is not a list of tag=value')
    if (tags.has(tag)) throw refuse(tag, 'is given twice')
    tags.set(tag, value)
  }
  return tags
}

export function takeTag(
  tags: ReadonlyMap<string, string>,
  tag: string,
  refuse: Refuse = malformed,
): string {
  const value = tags.get(tag)
  if (value === undefined) throw refuse(tag, 'is missing')
  return value
}

/** A serial: decimal, 32 bits, no leading zero. */
export function parseSerial(text: string, refuse: Refuse = malformed): number {
  const n = isSerial(text) ? Number(text) : Infinity
  if (n > 0xffff_ffff) throw refuse('n', 'is not a decimal number of 32 bits')
  return n
}

function isSerial(text: string): boolean {
  return /^(?:0|[1-9][0-9]{0,9})$/.test(text)
}

/** RFC 4648 section 4 with padding, in the one form that encodes these bytes, and of the length given. */
export function decodeStrict(
  tag: string,
  text: string,
  length: number,
  refuse: Refuse = malformed,
): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw refuse(tag, 'is not base64')
  if (bytes.length !== length) throw refuse(tag, `is not ${length} bytes`)
  return Uint8Array.from(bytes)
}

export function malformed(tag: string, reason: string): PermError {
  return new PermError('ibe/parameters', `${tag} ${reason}`)
}
