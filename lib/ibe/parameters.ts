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
  /** Signatures of this record by other generations of its scheme. Not checked by the parser. */
  readonly signatures?: readonly RecordSignature[]
}

/** The record as generation n of the same scheme signed it: see record-signature.ts. */
export interface RecordSignature {
  readonly n: number
  /** A compressed point of G1, 48 bytes. */
  readonly signature: Uint8Array
}

export type AnyParameters = Parameters<'bf'> | Parameters<'cc'> | LegacyParameters
export type Scheme = AnyParameters['scheme']

const SIGNATURE_BYTES = 48
const SIGNATURES_MAX = 8
const COMPRESSED_BIT = 0x80
const INFINITY_BIT = 0x40

/** Whether a text claims to be a record of ours. */
export function isParameterRecord(text: string): boolean {
  return /^[ \t\r\n]*ver[ \t\r\n]*=/.test(text)
}

/** One TXT record, its strings joined. Undefined: not ours. PermError names the tag and the reason. */
export function parseParameters(text: string): AnyParameters | undefined {
  if (!isParameterRecord(text)) return undefined
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
  const x = tags.get('x')
  const signatures = tags.get('s')
  return {
    version: '2.0',
    scheme,
    n,
    period,
    publicKey,
    ...(x !== undefined && { notAfterSeconds: parseSeconds(x) }),
    ...(signatures !== undefined && { signatures: parseSignatures(signatures) }),
  }
}

/** More than are read may stand there: what is signed once more by each generation must not grow for ever. */
function parseSignatures(text: string): RecordSignature[] {
  return text.split(',', SIGNATURES_MAX).map((item) => {
    const [, n, signature] = /^[ \t\r\n]*([0-9]+):([A-Za-z0-9+/=]+)[ \t\r\n]*$/.exec(item) ?? []
    if (n === undefined || signature === undefined)
      throw malformed('s', 'is not a list of serial:signature')
    return { n: parseSerial(n), signature: decodeStrict('s', signature, SIGNATURE_BYTES) }
  })
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

/** The record's text, which `parseParameters` takes back. About 200 octets, and 70 for each signature. */
export function formatParameters(parameters: Parameters): string {
  const { scheme, n, period, publicKey, notAfterSeconds, signatures = [] } = parameters
  const end = notAfterSeconds === undefined ? '' : `; x=${notAfterSeconds}`
  const list = signatures.map((one) => `${one.n}:${base64(one.signature)}`).join(',')
  const signed = list === '' ? '' : `; s=${list}`
  return `ver=2.0; a=${scheme}; c=bls12-381; n=${n}; p=${period}; P=${base64(publicKey)}${end}${signed}`
}

/** The record without the signatures that it carries: what they sign. */
export function withoutSignatures(parameters: Parameters): Parameters {
  const { signatures: _, ...unsigned } = parameters
  return unsigned
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
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
  if (first !== undefined && others.some((one) => nameOf(one) !== nameOf(first))) {
    throw new TempError(
      'ibe/parameters',
      `n: two different records have a=${scheme} and n=${highest}`,
    )
  }
  return first
}

export function isPast(parameters: AnyParameters, nowSeconds: number): boolean {
  return parameters.version === '2.0' && (parameters.notAfterSeconds ?? Infinity) < nowSeconds
}

/** Two records that say the same have the same name. Signatures are about a record, not of it. */
export function nameOf(parameters: AnyParameters): string {
  if (parameters.version === '2.0') return formatParameters(withoutSignatures(parameters))
  const { n, g, x, y, v } = parameters
  return ['ver=1.0', n, ...[...g, ...x, ...y, ...v].map(base64)].join(' ')
}
