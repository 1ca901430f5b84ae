// What a gateway and its KGC say to each other: JSON over HTTPS, docs/formats.md, "The KGC's protocol". RFC 8259, RFC 9110.
import { PermError } from '../../errors.ts'
import type { Generation, IdentityKeyRequest, KeyScheme } from '../key-source.ts'
import { normalizeDomain } from '../mail-domain.ts'
import { isPeriodKind } from '../period.ts'

export const REQUEST_MAX_BYTES = 4096
export const ANSWER_MAX_BYTES = 65_536
export const IDENTITY_KEY_PATH = '/v1/identity-key'
export const GENERATIONS_PATH = '/v1/generations'

/** Octets of an identity key and of a public key: docs/formats.md sections 1.1 and 3. */
const KEY_BYTES: Readonly<Record<KeyScheme, number>> = { bf: 48, cc: 48, bb2: 96 }
const PUBLIC_KEY_BYTES: Readonly<Record<KeyScheme, number>> = { bf: 96, cc: 96, bb2: 576 }

export const KEY_SCHEMES: readonly KeyScheme[] = ['bf', 'cc', 'bb2']
const IDENTITY_MAX_CHARACTERS = 1024
const SERIAL_MAX = 0xffff_ffff

/** Every refusal that there is, and its status. */
export const REFUSALS = {
  malformed: 400,
  'not-for-this-gateway': 403,
  'no-such-generation': 404,
  'outside-window': 410,
  'rate-limited': 429,
  locked: 503,
  unavailable: 503,
} as const

export type Refusal = keyof typeof REFUSALS

/** A generation with its public parameters: what everybody may know of it. */
export interface PublicGeneration extends Generation {
  readonly publicKey: Uint8Array
}

export interface IssuedKey {
  /** The receiver's, to be wiped. */
  readonly key: Uint8Array
  /** Unix time from which the KGC would not give this key any more; undefined: none. */
  readonly untilSeconds?: number
}

/** The JSON of `POST /v1/identity-key`. */
export function formatKeyRequest({ scheme, domain, n, identity }: IdentityKeyRequest): string {
  return JSON.stringify({ scheme, domain, n, identity })
}

/** PermError kgc/refused for what is no request; whether its identity is one is not looked at. */
export function parseKeyRequest(text: string): IdentityKeyRequest {
  const { scheme, domain, n, identity } = parseObject(text)
  if (typeof identity !== 'string' || identity === '' || identity.length > IDENTITY_MAX_CHARACTERS)
    throw malformed('identity')
  return { scheme: parseScheme(scheme), domain: parseDomain(domain), n: parseN(n), identity }
}

export function formatGenerationsPath(domain: string, scheme: KeyScheme): string {
  return `${GENERATIONS_PATH}?${new URLSearchParams({ domain, scheme }).toString()}`
}

/** Of the part behind the `?`. PermError kgc/refused. */
export function parseGenerationsQuery(query: string): {
  readonly domain: string
  readonly scheme: KeyScheme
} {
  const values = new URLSearchParams(query)
  if ([...values.keys()].toSorted().join(' ') !== 'domain scheme') throw malformed('query')
  return { domain: parseDomain(values.get('domain')), scheme: parseScheme(values.get('scheme')) }
}

/** Bytes, so that they can be wiped when they are sent. */
export function formatIssuedKey({ key, untilSeconds }: IssuedKey): Uint8Array {
  const until = untilSeconds === undefined ? {} : { until: untilSeconds }
  return new TextEncoder().encode(
    JSON.stringify({ key: Buffer.from(key).toString('base64'), ...until }),
  )
}

/** PermError kgc/refused for what is no such answer. */
export function parseIssuedKey(text: string, scheme: KeyScheme): IssuedKey {
  const { key, until } = parseObject(text)
  const bytes = parseBase64('key', key, KEY_BYTES[scheme])
  if (until === undefined) return { key: bytes }
  if (typeof until !== 'number' || !Number.isSafeInteger(until) || until < 0)
    throw malformed('until')
  return { key: bytes, untilSeconds: until + 0 } // -0 is JSON, and not what we would write
}

export function formatGenerations(generations: readonly PublicGeneration[]): Uint8Array {
  const list = generations.map(({ n, period, publicKey }) => ({
    n,
    period,
    publicKey: Buffer.from(publicKey).toString('base64'),
  }))
  return new TextEncoder().encode(JSON.stringify({ generations: list }))
}

/** The newest first, whatever the order was. PermError kgc/refused for what is no such answer, or names a serial twice. */
export function parseGenerations(text: string, scheme: KeyScheme): readonly PublicGeneration[] {
  const { generations } = parseObject(text)
  if (!Array.isArray(generations)) throw malformed('generations')
  const list = generations.map((item: unknown): PublicGeneration => {
    const { n, period, publicKey } = asObject(item, 'generations')
    if (typeof period !== 'string' || !isPeriodKind(period)) throw malformed('period')
    const bytes = parseBase64('publicKey', publicKey, PUBLIC_KEY_BYTES[scheme])
    return { n: parseN(n), period, publicKey: bytes }
  })
  if (new Set(list.map(({ n }) => n)).size < list.length) throw malformed('n')
  return list.toSorted((one, other) => other.n - one.n)
}

export function formatRefusal(refusal: Refusal): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ error: refusal }))
}

/** undefined for what is no refusal of this protocol: from something else on the way, perhaps. */
export function parseRefusal(status: number, text: string): Refusal | undefined {
  try {
    const { error } = parseObject(text)
    const refusal = REFUSAL_NAMES.find((name) => name === error)
    return refusal !== undefined && REFUSALS[refusal] === status ? refusal : undefined
  } catch {
    return undefined
  }
}

const REFUSAL_NAMES = Object.keys(REFUSALS) as readonly Refusal[]

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw malformed('JSON') // the reason that JSON.parse gives quotes the text, which may hold a key
  }
  return asObject(value, 'JSON')
}

function asObject(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(name)
  return value as Readonly<Record<string, unknown>>
}

function parseScheme(value: unknown): KeyScheme {
  const scheme = KEY_SCHEMES.find((known) => known === value)
  if (scheme === undefined) throw malformed('scheme')
  return scheme
}

/** Only in its normal form: one domain has one name in the list of gateways, in the audit log and in an identity. */
function parseDomain(value: unknown): string {
  try {
    if (typeof value === 'string' && normalizeDomain(value) === value) return value
  } catch {
    // Says so below.
  }
  throw malformed('domain')
}

function parseN(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > SERIAL_MAX)
    throw malformed('n')
  return value + 0 // -0 is JSON
}

function parseBase64(name: string, value: unknown, length: number): Uint8Array {
  const bytes = Buffer.from(typeof value === 'string' ? value : '', 'base64')
  // Node skips what is not base64.
  if (bytes.length !== length || bytes.toString('base64') !== value) throw malformed(name)
  return Uint8Array.from(bytes)
}

function malformed(what: string): PermError {
  return new PermError('kgc/refused', `${what}: not as the KGC's protocol has it`)
}
