// DER as we write it: X.690 section 10.
import { TAG } from './ber.ts'

/** What comes before the content: for content that is not at hand in one piece. */
export function derStart(tag: number, length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(tag, length)
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return Uint8Array.of(tag, 0x80 + octets.length, ...octets)
}

export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([derStart(tag, length), ...parts])
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return der(TAG.sequence, ...parts)
}

/** X.690 section 11.6: in the order of their octets. */
export function setOf(parts: readonly Uint8Array[]): Uint8Array {
  return der(TAG.set, ...parts.toSorted((one, other) => Buffer.compare(one, other)))
}

export function octetString(bytes: Uint8Array): Uint8Array {
  return der(TAG.octetString, bytes)
}

export function bitString(bytes: Uint8Array): Uint8Array {
  return der(TAG.bitString, Uint8Array.of(0), bytes)
}

/** 0 to 127. */
export function tinyInteger(value: number): Uint8Array {
  return der(TAG.integer, Uint8Array.of(value))
}

export function nothing(): Uint8Array {
  return der(TAG.null)
}

/** `2.5.29.15` and the like. */
export function objectIdentifier(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return der(TAG.objectIdentifier, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)))
}

function base128(arc: number): number[] {
  const octets = [arc % 128]
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128))
    octets.unshift(0x80 + (rest % 128))
  return octets
}
