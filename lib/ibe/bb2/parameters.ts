// Records of version 1.0: Boneh-Boyen BB2 on BN254, as in the IBEmail paper. docs/formats.md, "Version 1.0".
// Only the form is checked here: whether the numbers are points is for the curve to say, `Bb2.check`.
import { PermError } from '../../errors.ts'
import { decodeStrict, malformed, parseSerial, takeTag } from '../tag-list.ts'

/** A point of G1 by its coordinates, 32 bytes each, big-endian. */
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
  /** An element of GT: twelve coefficients of 32 bytes, big-endian, in mcl's order. */
  readonly v: readonly Uint8Array[]
}

const COORDINATE_BYTES = 32
const POINT_BYTES = 2 * COORDINATE_BYTES
const GT_COEFFICIENTS = 12

/** The numbers of a record in their order, g || X || Y || v, each 32 bytes. */
export const PUBLIC_KEY_BYTES = 3 * POINT_BYTES + GT_COEFFICIENTS * COORDINATE_BYTES

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

/** The record's text, which `parseParameters` takes back. About 900 octets: several strings of a TXT record. */
export function formatLegacy(parameters: LegacyParameters): string {
  const { n, g, x, y, v } = parameters
  const [pointG, pointX, pointY] = [g, x, y].map((point) => `1 ${formatNumbers(point)}`)
  return `ver=1.0; a=bb2; c=bn256; n=${n}; g=${pointG}; X=${pointX}; Y=${pointY}; v=${formatNumbers(v)}`
}

function formatNumbers(numbers: readonly Uint8Array[]): string {
  return numbers.map((number) => Buffer.from(number).toString('base64')).join(' ')
}

/** What the vault keeps as the public key, as a record's parameters. */
export function parametersOf(n: number, publicKey: Uint8Array): LegacyParameters {
  if (publicKey.length !== PUBLIC_KEY_BYTES) {
    throw new PermError('vault/malformed', `public key: not ${PUBLIC_KEY_BYTES} bytes`)
  }
  const number = (at: number): Uint8Array =>
    publicKey.slice(at * COORDINATE_BYTES, (at + 1) * COORDINATE_BYTES)
  return {
    version: '1.0',
    scheme: 'bb2',
    n,
    g: [number(0), number(1)],
    x: [number(2), number(3)],
    y: [number(4), number(5)],
    v: Array.from({ length: GT_COEFFICIENTS }, (_, at) => number(6 + at)),
  }
}

export function publicKeyOf({ g, x, y, v }: LegacyParameters): Uint8Array {
  return Buffer.concat([...g, ...x, ...y, ...v])
}
