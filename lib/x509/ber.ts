// BER as others write CMS (X.690 section 8: lengths without an end, strings in pieces) brought into the one form that der.ts
// reads: RFC 5652 section 1.
import { PermError } from '../errors.ts'
import { enclosed } from './der-writer.ts'
import { TAG } from './der.ts'

const MAX_DEPTH = 40
/** Elements: a certificate has about 100 of them. */
const MAX_ELEMENTS = 200_000

const CONSTRUCTED = 0x20
const OCTET_STRING_IN_PIECES = TAG.octetString | CONSTRUCTED
const WITHOUT_END = 0x80

interface Cursor {
  readonly bytes: Uint8Array
  at: number
  elements: number
  /** Whether something stood there in another form. */
  changed: boolean
}

type Pieces = readonly Uint8Array[]

/**
 * One element that is all of the bytes, each length in it definite and as short as it can be, each OCTET STRING in one piece.
 * What has this form already is given back as it is. PermError crypto/unsupported for what is no BER.
 */
export function definiteForm(bytes: Uint8Array): Uint8Array {
  const cursor: Cursor = { bytes, at: 0, elements: 0, changed: false }
  const pieces = elementAt(cursor, bytes.length, 0)
  if (cursor.at !== bytes.length) throw malformed('bytes after the end')
  return cursor.changed ? Buffer.concat(pieces) : bytes
}

function elementAt(cursor: Cursor, limit: number, depth: number): Pieces {
  cursor.elements += 1
  if (depth > MAX_DEPTH || cursor.elements > MAX_ELEMENTS) throw malformed('too many elements')
  const { tag, end } = head(cursor, limit)
  if ((tag & CONSTRUCTED) === 0) {
    if (end === undefined) throw malformed('a primitive element without an end')
    const content = cursor.bytes.subarray(cursor.at, end)
    cursor.at = end
    return enclosed(tag, [content])
  }
  if (tag === OCTET_STRING_IN_PIECES) {
    cursor.changed = true
    return enclosed(TAG.octetString, members(cursor, limit, end, depth, stringPiece))
  }
  return enclosed(tag, members(cursor, limit, end, depth, elementAt))
}

/** What stands in a constructed element, and behind the mark of its end. */
function members(
  cursor: Cursor,
  limit: number,
  end: number | undefined,
  depth: number,
  read: (cursor: Cursor, limit: number, depth: number) => Pieces,
): Pieces {
  const found: Uint8Array[] = []
  const { bytes } = cursor
  while (end === undefined ? !isEndMark(bytes, cursor.at) : cursor.at < end)
    for (const piece of read(cursor, end ?? limit, depth + 1)) found.push(piece)
  if (end === undefined) {
    if (cursor.at + 2 > limit) throw malformed('an element is cut short')
    cursor.at += 2
    cursor.changed = true
  }
  return found
}

/** The octets of one piece of an OCTET STRING, which may be in pieces itself. */
function stringPiece(cursor: Cursor, limit: number, depth: number): Pieces {
  const tag = cursor.bytes[cursor.at]
  if (tag !== TAG.octetString && tag !== OCTET_STRING_IN_PIECES)
    throw malformed('a string with something else in it')
  return elementAt(cursor, limit, depth).slice(1)
}

/** Leaves the cursor where the content begins. No end: it is marked. */
function head(cursor: Cursor, limit: number): { tag: number; end: number | undefined } {
  const { bytes, at } = cursor
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined || at + 2 > limit)
    throw malformed('an element is cut short')
  if ((tag & 0x1f) === 0x1f) throw malformed('a tag of several bytes')
  cursor.at = at + 2
  if (first === WITHOUT_END) return { tag, end: undefined }
  let length = first
  if (first > WITHOUT_END) {
    const count = first - WITHOUT_END
    if (count > 8) throw malformed('a length out of range')
    length = bytes.subarray(at + 2, at + 2 + count).reduce((sum, byte) => sum * 256 + byte, 0)
    cursor.at += count
    if (length < 0x80 || length < 256 ** (count - 1)) cursor.changed = true
  }
  const end = cursor.at + length
  if (end > limit) throw malformed('an element is cut short')
  return { tag, end }
}

function isEndMark(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0 && bytes[at + 1] === 0
}

function malformed(what: string): PermError {
  return new PermError('crypto/unsupported', `BER: ${what}`)
}
