// BER as CMS needs it: X.690 section 8. Whole, with indefinite lengths and strings in pieces, and without a copy of anything.
// Limits hold while it reads. Throws nothing but a PermError.
import { malformed } from './cms-error.ts'

export interface BerElement {
  /** The whole identifier octet, such as 0x30 for a SEQUENCE. */
  readonly tag: number
  /** What stands between length and end; of an indefinite length without the octets that end it. */
  readonly content: Uint8Array
  /** Of a constructed one. */
  readonly children: readonly BerElement[]
  /** Tag and length included. */
  readonly bytes: Uint8Array
  /** Its length is written before it, as DER asks. */
  readonly isDefinite: boolean
}

export const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const

const CONSTRUCTED = 0x20
const DEPTH_LIMIT = 20
/** A message of 50 MB in pieces of a thousand octets has half as many. */
const ELEMENT_LIMIT = 100_000

/** One element that is all of the bytes. */
export function readBer(bytes: Uint8Array): BerElement {
  const element = elementAt({ bytes, left: ELEMENT_LIMIT }, 0, bytes.length, 0)
  if (element.bytes.length !== bytes.length) throw malformed('octets after the end')
  return element
}

export function isConstructed({ tag }: Pick<BerElement, 'tag'>): boolean {
  return (tag & CONSTRUCTED) !== 0
}

export function expectTag(element: BerElement | undefined, tag: number): BerElement {
  if (element?.tag !== tag) throw malformed('not what should stand here')
  return element
}

/** The pieces of an OCTET STRING, which BER lets be cut into several, again and again: X.690 section 8.7. */
export function octetPieces(element: BerElement): Uint8Array[] {
  if (!isConstructed(element)) return [element.content]
  return element.children.flatMap((child) => {
    if ((child.tag & ~CONSTRUCTED) !== TAG.octetString) throw malformed('a piece of no string')
    return octetPieces(child)
  })
}

/** An OCTET STRING, or one with another tag in its place, in one piece. */
export function octets(element: BerElement | undefined, tag: number = TAG.octetString): Uint8Array {
  if (element === undefined || (element.tag & ~CONSTRUCTED) !== (tag & ~CONSTRUCTED))
    throw malformed('an octet string is missing')
  const pieces = octetPieces(element)
  return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)
}

/** The octets of a BIT STRING that has no unused bits and is in one piece. */
export function bitStringOctets(element: BerElement | undefined): Uint8Array {
  const { content } = expectTag(element, TAG.bitString)
  if (content[0] !== 0) throw malformed('a bit string with unused bits')
  return content.subarray(1)
}

/** A small one that is not negative. */
export function smallInteger(element: BerElement | undefined): number {
  const { content } = expectTag(element, TAG.integer)
  const [first] = content
  if (first === undefined || first >= 0x80 || content.length > 4)
    throw malformed('an integer out of range')
  return content.reduce((value, octet) => value * 256 + octet, 0)
}

interface Input {
  readonly bytes: Uint8Array
  /** How many elements more there may be. */
  left: number
}

function elementAt(input: Input, start: number, limit: number, depth: number): BerElement {
  if (depth > DEPTH_LIMIT) throw malformed('too deep')
  if (input.left-- <= 0) throw malformed('too many elements')
  const { bytes } = input
  const tag = start < limit ? bytes[start] : undefined
  if (tag === undefined) throw malformed('cut short')
  if ((tag & 0x1f) === 0x1f) throw malformed('a tag of several octets')
  const { at, length } = lengthAt(bytes, start + 1, limit)
  if (length === undefined) {
    if (!isConstructed({ tag })) throw malformed('an indefinite length where none may be')
    const { children, end } = childrenUntilEnd(input, at, limit, depth)
    return {
      tag,
      children,
      content: bytes.subarray(at, end),
      bytes: bytes.subarray(start, end + 2),
      isDefinite: false,
    }
  }
  const end = at + length
  return {
    tag,
    children: isConstructed({ tag }) ? childrenWithin(input, at, end, depth) : [],
    content: bytes.subarray(at, end),
    bytes: bytes.subarray(start, end),
    isDefinite: true,
  }
}

/** X.690 section 8.1.3. undefined: indefinite. */
function lengthAt(
  bytes: Uint8Array,
  start: number,
  limit: number,
): { at: number; length: number | undefined } {
  const first = start < limit ? bytes[start] : undefined
  if (first === undefined) throw malformed('cut short')
  if (first === 0x80) return { at: start + 1, length: undefined }
  const count = first < 0x80 ? 0 : first - 0x80
  if (count > 6) throw malformed('a length out of range')
  const at = start + 1 + count
  if (at > limit) throw malformed('cut short')
  const length =
    first < 0x80
      ? first
      : bytes.subarray(start + 1, at).reduce((value, octet) => value * 256 + octet, 0)
  if (length > limit - at) throw malformed('cut short')
  return { at, length }
}

function childrenWithin(input: Input, start: number, end: number, depth: number): BerElement[] {
  const children: BerElement[] = []
  for (let at = start; at < end;) {
    const child = elementAt(input, at, end, depth + 1)
    children.push(child)
    at += child.bytes.length
  }
  return children
}

function childrenUntilEnd(
  input: Input,
  start: number,
  limit: number,
  depth: number,
): { children: BerElement[]; end: number } {
  const children: BerElement[] = []
  let at = start
  // X.690 section 8.1.5: two zero octets.
  while (at + 1 < limit && (input.bytes[at] !== 0 || input.bytes[at + 1] !== 0)) {
    const child = elementAt(input, at, limit, depth + 1)
    children.push(child)
    at += child.bytes.length
  }
  if (at + 1 >= limit) throw malformed('cut short')
  return { children, end: at }
}
