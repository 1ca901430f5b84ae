// DER as far as we write it: X.690 sections 8 and 10.
import { TAG } from './der.ts'

/** Tag and length in front of the pieces; none of these is copied. */
export function enclosed(tag: number, pieces: readonly Uint8Array[]): readonly Uint8Array[] {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  return [startOf(tag, length), ...pieces]
}

/** What stands in front of so many octets. */
export function startOf(tag: number, length: number): Uint8Array {
  return Uint8Array.from([tag, ...lengthOctets(length)])
}

export function element(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(enclosed(tag, contents))
}

export function sequence(...members: readonly Uint8Array[]): Uint8Array {
  return element(TAG.sequence, ...members)
}

/** SET OF, its members in the order of X.690 section 11.6. */
export function setOf(...members: readonly Uint8Array[]): Uint8Array {
  return element(TAG.set, ...members.toSorted((one, other) => Buffer.compare(one, other)))
}

export function objectIdentifier(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  return element(
    TAG.objectIdentifier,
    Uint8Array.from([40 * first + second, ...rest].flatMap(base128)),
  )
}

/** Not negative: a number, or its octets with the first one first. */
export function integer(value: number | Uint8Array): Uint8Array {
  const octets = typeof value === 'number' ? base256(value) : [...value]
  while (octets.length > 1 && octets[0] === 0) octets.shift()
  if ((octets[0] ?? 0) >= 0x80 || octets.length === 0) octets.unshift(0)
  return element(TAG.integer, Uint8Array.from(octets))
}

export function octetString(content: Uint8Array): Uint8Array {
  return element(TAG.octetString, content)
}

/** Of whole octets. */
export function bitString(content: Uint8Array): Uint8Array {
  return element(TAG.bitString, Uint8Array.of(0), content)
}

/** Of the first bits, in the order of the standard's list. */
export function namedBits(bits: readonly number[]): Uint8Array {
  const highest = Math.max(...bits)
  const octets = new Uint8Array((highest >> 3) + 1)
  for (const bit of bits) octets[bit >> 3]! |= 0x80 >> (bit & 7)
  // X.690 section 11.2.2: no zeros behind the last one.
  return element(TAG.bitString, Uint8Array.of(7 - (highest & 7)), octets)
}

export function booleanTrue(): Uint8Array {
  return element(TAG.boolean, Uint8Array.of(0xff))
}

export function utf8String(text: string): Uint8Array {
  return element(TAG.utf8String, new TextEncoder().encode(text))
}

export function nullValue(): Uint8Array {
  return element(TAG.null)
}

/** UTCTime until 2049 (RFC 5280 section 4.1.2.5), in whole seconds. */
export function time(ms: number): Uint8Array {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  const isShort = /^(?:19[5-9]|20[0-4])/.test(digits)
  return isShort
    ? element(TAG.utcTime, Buffer.from(digits.slice(2)))
    : element(TAG.generalizedTime, Buffer.from(digits))
}

function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length]
  const octets = base256(length)
  return [0x80 + octets.length, ...octets]
}

function base256(value: number): number[] {
  const octets: number[] = []
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return octets
}

function base128(value: number): number[] {
  const octets = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128))
    octets.unshift(0x80 + (rest % 128))
  return octets
}
