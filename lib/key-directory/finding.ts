// What one source says of an address, and how that stands in the cache until it is asked again.
import type { SmimeaRecord } from '../dns/records.ts'
import type { FoundKey, PublicKey } from '../mail/correspondent-keys.ts'

export type SmimeaUsage = NonNullable<FoundKey['smimeaUsage']>

export type SourceKey = PublicKey & Pick<FoundKey, 'smimeaUsage'>

export type Finding =
  | { readonly status: 'found'; readonly keys: readonly SourceKey[] }
  | {
      readonly status: 'none'
      /** Nobody on the way can have made it up. */
      readonly authentic: boolean
      /** What a certificate that was found elsewhere must be like. */
      readonly constraints?: readonly SmimeaRecord[]
    }
  /** Something is there that is no key of the address. */
  | { readonly status: 'unusable'; readonly reason: string }

export interface TimedFinding {
  readonly finding: Finding
  readonly ttlSeconds: number
}

export interface Held {
  readonly finding: Finding
  readonly untilMs: number
}

export function formatHeld({ finding, untilMs }: Held): string {
  if (finding.status === 'unusable') return JSON.stringify({ untilMs, ...finding })
  if (finding.status === 'found')
    return JSON.stringify({ untilMs, status: 'found', keys: finding.keys.map(plainKey) })
  const { authentic, constraints } = finding
  const records = constraints?.map(({ certificate, ...numbers }) => ({
    ...numbers,
    certificate: base64(certificate),
  }))
  return JSON.stringify({ untilMs, status: 'none', authentic, constraints: records })
}

/** Undefined for rubbish, which a shared cache may hold. */
export function parseHeld(text: string): Held | undefined {
  try {
    const held = entriesOf(JSON.parse(text))
    const untilMs = numberOf(held['untilMs'])
    return { untilMs, finding: readFinding(held) }
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) return undefined
    throw error
  }
}

function readFinding(held: Plain): Finding {
  if (held['status'] === 'found')
    return { status: 'found', keys: listOf(held['keys']).map(readKey) }
  if (held['status'] === 'unusable') return { status: 'unusable', reason: textOf(held['reason']) }
  if (held['status'] !== 'none') throw new TypeError('no such status')
  const authentic = held['authentic'] === true
  if (held['constraints'] === undefined) return { status: 'none', authentic }
  return { status: 'none', authentic, constraints: listOf(held['constraints']).map(readRecord) }
}

type Plain = Partial<Record<string, unknown>>

/** For JSON. */
export function plainKey({ bytes, ...rest }: SourceKey): object {
  return { ...rest, bytes: base64(bytes) }
}

/** TypeError for what `plainKey` did not make. */
export function readKey(value: unknown): SourceKey {
  const { fingerprint, lasting, bytes, addresses, expires, smimeaUsage } = entriesOf(value)
  const usage = ([1, 3] as const).find((one) => one === smimeaUsage)
  return {
    fingerprint: textOf(fingerprint),
    bytes: bytesOf(bytes),
    addresses: listOf(addresses).map(textOf),
    ...(lasting !== undefined && { lasting: textOf(lasting) }),
    ...(expires !== undefined && { expires: textOf(expires) }),
    ...(usage !== undefined && { smimeaUsage: usage }),
  }
}

function readRecord(value: unknown): SmimeaRecord {
  const { usage, selector, matchingType, certificate } = entriesOf(value)
  return {
    usage: numberOf(usage),
    selector: numberOf(selector),
    matchingType: numberOf(matchingType),
    certificate: bytesOf(certificate),
  }
}

export function entriesOf(value: unknown): Plain {
  if (typeof value !== 'object' || value === null) throw new TypeError('no object')
  return { ...value }
}

export function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('no list')
  return value
}

export function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('no text')
  return value
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new TypeError('no number')
  return value + 0 // and not -0, which JSON has
}

function bytesOf(value: unknown): Uint8Array {
  return Uint8Array.from(Buffer.from(textOf(value), 'base64'))
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
