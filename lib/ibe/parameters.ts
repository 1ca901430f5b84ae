// Public parameters as they stand in DNS at _ibemailkey.<domain>. docs/formats.md, "Public parameters in DNS".
import { G2_BYTES } from '../crypto/mcl.ts'
import { TempError } from '../errors.ts'
import { isPeriodKind } from './period.ts'
import type { PeriodKind } from './period.ts'
import { parseLegacy } from './bb2/parameters.ts'
import type { LegacyParameters } from './bb2/parameters.ts'
import { decodeStrict, malformed, parseSerial, parseTagList, takeTag } from './tag-list.ts'

/** One parameter set of version 2.0, known by (scheme, n). */
export interface Parameters<S extends 'bf' | 'cc' = 'bf' | 'cc'> {
  readonly version: '2.0'
  /** `bf` encrypts, `cc` signs. They never share a master key. */
  readonly scheme: S
  readonly n: number
  readonly period: PeriodKind
  /** A compressed point of G2, 96 bytes, whose curve and subgroup the parser does not check: see `Ibe.checkPublicKey`. */
  readonly publicKey: Uint8Array
  /** Unix time after which no new mail may use these parameters. */
  readonly notAfterSeconds?: number
}

export type AnyParameters = Parameters<'bf'> | Parameters<'cc'> | LegacyParameters
export type Scheme = AnyParameters['scheme']

const COMPRESSED_BIT = 0x80
const INFINITY_BIT = 0x40

/** One TXT record, its strings joined. Undefined: not ours. PermError names the tag and the reason. */
export function parseParameters(text: string): AnyParameters | undefined {
  if (!/^[ \t\r\n]*ver[ \t\r\n]*=/.test(text)) return undefined
  const tags = parseTagList(text)
  const version = takeTag(tags, 'ver')
  if (version === '1.0') return parseLegacy(tags)
  if (version === '2.0') return parseCurrent(tags)
  throw malformed('ver', 'is neither 1.0 nor 2.0')
}

function parseCurrent(tags: ReadonlyMap<string, string>): AnyParameters {
  const scheme = takeTag(tags, 'a')
  if (scheme !== 'bf' && scheme !== 'cc') throw malformed('a', 'is neither bf nor cc')
  if (takeTag(tags, 'c') !== 'bls12-381') throw malformed('c', 'is not bls12-381')
  const n = parseSerial(takeTag(tags, 'n'))
  const period = takeTag(tags, 'p')
  if (!isPeriodKind(period)) throw malformed('p', 'is not none, day, week or month')
  const publicKey = parsePublicKey(takeTag(tags, 'P'))
  const parameters = { version: '2.0', scheme, n, period, publicKey } as const
  const x = tags.get('x')
  return x === undefined ? parameters : { ...parameters, notAfterSeconds: parseSeconds(x) }
}

function parsePublicKey(text: string): Uint8Array {
  const bytes = decodeStrict('P', text, G2_BYTES)
  const flags = bytes[0]!
  if ((flags & COMPRESSED_BIT) === 0) throw malformed('P', 'is not a compressed point')
  if ((flags & INFINITY_BIT) !== 0) throw malformed('P', 'is the identity')
  return bytes
}

function parseSeconds(text: string): number {
  if (!/^(?:0|[1-9][0-9]{0,11})$/.test(text)) throw malformed('x', 'is not a unix time')
  return Number(text)
}

/** The record's text, which `parseParameters` takes back. About 200 octets: one string of a TXT record. */
export function formatParameters(parameters: Parameters): string {
  const { scheme, n, period, publicKey, notAfterSeconds } = parameters
  const key = Buffer.from(publicKey).toString('base64')
  const text = `ver=2.0; a=${scheme}; c=bls12-381; n=${n}; p=${period}; P=${key}`
  return notAfterSeconds === undefined ? text : `${text}; x=${notAfterSeconds}`
}

/**
 * The set with the highest n of the scheme that is not past its x, or undefined.
 * TempError if two different sets claim that n: which of them the receiver can open is unknown until its operator acts.
 */
export function selectParameters<S extends Scheme>(
  records: readonly AnyParameters[],
  scheme: S,
  nowSeconds: number,
): Extract<AnyParameters, { scheme: S }> | undefined
export function selectParameters(
  records: readonly AnyParameters[],
  scheme: Scheme,
  nowSeconds: number,
): AnyParameters | undefined {
  const usable = records.filter((one) => one.scheme === scheme && !isPast(one, nowSeconds))
  const highest = Math.max(...usable.map((one) => one.n))
  const [first, ...others] = usable.filter((one) => one.n === highest)
  if (first !== undefined && others.some((one) => !sameKey(one, first))) {
    throw new TempError(
      'ibe/parameters',
      `n: two different records have a=${scheme} and n=${highest}`,
    )
  }
  return first
}

function isPast(parameters: AnyParameters, nowSeconds: number): boolean {
  return parameters.version === '2.0' && (parameters.notAfterSeconds ?? Infinity) < nowSeconds
}

function sameKey(one: AnyParameters, other: AnyParameters): boolean {
  return keyText(one) === keyText(other)
}

function keyText(parameters: AnyParameters): string {
  return parameters.version === '1.0'
    ? JSON.stringify([parameters.g, parameters.x, parameters.y, parameters.v])
    : formatParameters(parameters)
}
