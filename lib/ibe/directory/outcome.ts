// What a look-up came to, and how it stands in the cache until it is asked again.
import { HishoError } from '../../errors.ts'
import { TRUST_SOURCES, type TrustSource } from '../../mail/scheme.ts'
import { parseParameters, type Scheme } from '../parameters.ts'
import { SCHEMES, type DomainRecord, type UnusableRecord } from './records.ts'

export interface Outcome {
  readonly source: TrustSource
  readonly records: readonly DomainRecord[]
  readonly unusable: readonly UnusableRecord[]
  /** By scheme: why `records` may not be what the domain publishes. */
  readonly untrusted: Readonly<Partial<Record<Scheme, string>>>
}

/** `trust`: which sources were allowed, as one name. */
export function formatOutcome(trust: string, outcome: Outcome): string {
  const { source, records, unusable, untrusted } = outcome
  return JSON.stringify({
    trust,
    source,
    records: records.map(({ text }) => text),
    unusable,
    untrusted,
  })
}

/** Undefined for rubbish, which a shared cache may hold, and for an outcome under another trust. */
export function parseOutcome(trust: string, value: string): Outcome | undefined {
  try {
    const held: Partial<Record<string, unknown>> = Object(JSON.parse(value))
    const source = TRUST_SOURCES.find((name) => name === held['source'])
    if (held['trust'] !== trust || !source) return undefined
    const untrusted: Partial<Record<string, unknown>> = Object(held['untrusted'])
    return {
      source,
      records: listOf(held['records']).map(readRecord),
      unusable: listOf(held['unusable']).map(readUnusable),
      untrusted: Object.fromEntries(
        SCHEMES.flatMap((scheme) =>
          untrusted[scheme] === undefined ? [] : [[scheme, textOf(untrusted[scheme])]],
        ),
      ),
    }
  } catch (error) {
    if (error instanceof HishoError || error instanceof TypeError || error instanceof SyntaxError)
      return undefined
    throw error
  }
}

function readRecord(value: unknown): DomainRecord {
  const text = textOf(value)
  const parameters = parseParameters(text)
  if (!parameters) throw new TypeError('not a record')
  return { text, parameters }
}

function readUnusable(value: unknown): UnusableRecord {
  const { scheme, reason }: Partial<Record<string, unknown>> = Object(value)
  return { scheme: SCHEMES.find((name) => name === scheme) ?? 'unknown', reason: textOf(reason) }
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('not a list')
  return value
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('not a text')
  return value
}
