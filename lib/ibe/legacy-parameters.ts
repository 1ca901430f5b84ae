// Records of version 1.0: Boneh-Boyen BB2 on BN254, as in the IBEmail paper. docs/formats.md, "Version 1.0".
// Only the form is checked here: whether the numbers are points is for the curve to say.
import { decodeStrict, malformed, parseSerial, takeTag } from './tag-list.ts'

/** A point of G1 by its coordinates, 32 bytes each. */
export type LegacyPoint = readonly [x: Uint8Array, y: Uint8Array]

export interface LegacyParameters {
  readonly version: '1.0'
  readonly scheme: 'bb2'
  readonly n: number
  readonly g: LegacyPoint
  /** The record's `X`. */
  readonly x: LegacyPoint
  /** The record's `Y`. */
  readonly y: LegacyPoint
  /** An element of GT: twelve coefficients of 32 bytes, in mcl's order. */
  readonly v: readonly Uint8Array[]
}

const COORDINATE_BYTES = 32
const GT_COEFFICIENTS = 12

export function parseLegacy(tags: ReadonlyMap<string, string>): LegacyParameters {
  if (takeTag(tags, 'a') !== 'bb2') throw malformed('a', 'is not bb2')
  if (takeTag(tags, 'c') !== 'bn256') throw malformed('c', 'is not bn256')
  return {
    version: '1.0',
    scheme: 'bb2',
    n: parseSerial(takeTag(tags, 'n')),
    g: parsePoint('g', takeTag(tags, 'g')),
    x: parsePoint('X', takeTag(tags, 'X')),
    y: parsePoint('Y', takeTag(tags, 'Y')),
    v: parseCoefficients('v', takeTag(tags, 'v'), GT_COEFFICIENTS),
  }
}

function parsePoint(tag: string, text: string): LegacyPoint {
  const [one, ...coordinates] = text.split(/[ \t]+/)
  if (one !== '1') throw malformed(tag, 'is not an affine point')
  const [x, y] = parseCoefficients(tag, coordinates.join(' '), 2)
  return [x!, y!]
}

function parseCoefficients(tag: string, text: string, count: number): readonly Uint8Array[] {
  const values = text.split(/[ \t]+/)
  if (values.length !== count) throw malformed(tag, `does not have ${count} values`)
  return values.map((value) => decodeStrict(tag, value, COORDINATE_BYTES))
}
