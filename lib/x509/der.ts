// DER as far as certificates need it: X.690 sections 8.1 and 10.1. Throws nothing but a PermError.
import { PermError } from '../errors.ts'

export interface Element {
  /** The whole identifier octet, such as 0x30 for a SEQUENCE. */
  readonly tag: number
  readonly content: Uint8Array
  /** Tag and length included. */
  readonly bytes: Uint8Array
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** One element that is all of the bytes. */
export function readElement(bytes: Uint8Array): Element {
  const element = elementAt(bytes, 0)
  if (element.bytes.length !== bytes.length) throw malformed('bytes after the end')
  return element
}

/** What stands one after another, such as the content of a SEQUENCE. */
export function readElements(bytes: Uint8Array): Element[] {
  const elements: Element[] = []
  for (let at = 0; at < bytes.length;) {
    const element = elementAt(bytes, at)
    elements.push(element)
    at += element.bytes.length
  }
  return elements
}

export function expectTag(element: Element | undefined, tag: number): Element {
  if (element?.tag !== tag) throw malformed('not what should stand here')
  return element
}

/** `2.5.29.15` and the like. */
export function readObjectIdentifier(element: Element | undefined): string {
  const { content } = expectTag(element, TAG.objectIdentifier)
  const arcs: number[] = []
  let arc = 0
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f)
    if (!Number.isSafeInteger(arc)) throw malformed('an object identifier out of range')
    if (byte >= 0x80) continue
    arcs.push(arc)
    arc = 0
  }
  const [first] = arcs
  if (first === undefined || (content.at(-1) ?? 0) >= 0x80)
    throw malformed('an object identifier without an end')
  const top = Math.min(2, Math.floor(first / 40))
  return [top, first - 40 * top, ...arcs.slice(1)].join('.')
}

/** A small one that is not negative. */
export function readInteger(element: Element | undefined): number {
  const { content } = expectTag(element, TAG.integer)
  const [first] = content
  if (first === undefined || first >= 0x80 || content.length > 6)
    throw malformed('an integer out of range')
  return content.reduce((value, byte) => value * 256 + byte, 0)
}

export function readBoolean(element: Element): boolean {
  const { content } = expectTag(element, TAG.boolean)
  if (content.length !== 1) throw malformed('no boolean')
  return content[0] !== 0
}

export function malformed(what: string): PermError {
  return new PermError('crypto/unsupported', `DER: ${what}`)
}

function elementAt(bytes: Uint8Array, start: number): Element {
  const tag = bytes[start]
  const first = bytes[start + 1]
  if (tag === undefined || first === undefined) throw malformed('an element is cut short')
  if ((tag & 0x1f) === 0x1f) throw malformed('a tag of several bytes')
  let at = start + 2
  let length = first
  if (first >= 0x80) {
    const count = first - 0x80
    if (count === 0 || count > 4) throw malformed('a length that DER does not have')
    length = bytes.subarray(at, at + count).reduce((value, byte) => value * 256 + byte, 0)
    at += count
    // X.690 section 10.1: no more bytes than the length needs.
    if (length < 0x80 || length < 256 ** (count - 1)) throw malformed('a length that is padded')
  }
  const end = at + length
  if (end > bytes.length) throw malformed('an element is cut short')
  return { tag, content: bytes.subarray(at, end), bytes: bytes.subarray(start, end) }
}
