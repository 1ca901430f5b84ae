// What a domain publishes, and whether it is what its vault says.
import { nowSeconds, type Clock } from '../clock.ts'
import { HishoError } from '../errors.ts'
import { parseParameters, selectParameters, type AnyParameters } from '../ibe/parameters.ts'
import { bareRecord, parametersOf as ownParametersOf } from '../services/own-records.ts'
import type { Services } from '../services/services.ts'
import type { MasterKeyEntry, MasterKeyScheme } from '../vault/contents.ts'
import type { Context } from './context.ts'
import { label } from './generation-label.ts'
import { TTL_SECONDS } from './zone-record.ts'

export type PublishedRecord =
  | { readonly kind: 'parameters'; readonly text: string; readonly parameters: AnyParameters }
  | { readonly kind: 'foreign'; readonly text: string }
  | { readonly kind: 'broken'; readonly text: string; readonly reason: string }

export interface PublishedRecords {
  readonly records: readonly PublishedRecord[]
  readonly ttlSeconds: number
}

/** TempError dns/*: nobody can say. */
export async function fetchPublished(
  { directory, ibe }: Pick<Services, 'directory' | 'ibe'>,
  domain: string,
): Promise<PublishedRecords> {
  const { texts, ttlSeconds } = await directory.publishedRecords(domain)
  return { records: await readRecords(texts, { ibe }), ttlSeconds }
}

export function readRecords(
  texts: readonly string[],
  { ibe }: Pick<Services, 'ibe'>,
): Promise<PublishedRecord[]> {
  return Promise.all(texts.map((text) => readRecord(text, ibe)))
}

async function readRecord(
  text: string,
  ibe: Pick<Services['ibe'], 'checkPublicKey'>,
): Promise<PublishedRecord> {
  try {
    const parameters = parseParameters(text)
    if (!parameters) return { kind: 'foreign', text }
    if (parameters.version === '2.0' && !(await ibe.checkPublicKey(parameters.publicKey)))
      return { kind: 'broken', text, reason: 'P is no point that can be used' }
    return { kind: 'parameters', text, parameters }
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    return { kind: 'broken', text, reason: error.message }
  }
}

export interface PublishedFacts {
  readonly isPublished: (entry: MasterKeyEntry) => boolean
  /** Of the records, or what we propose for them. */
  readonly ttlSeconds: number
}

/** What the steps of a rotation depend on. */
export function publishedFacts({ records, ttlSeconds }: PublishedRecords): PublishedFacts {
  const known = new Set(parametersOf(records).map(bareRecord))
  return {
    isPublished: (entry) => known.has(bareRecord(ownParametersOf(entry))),
    // A cache on the way may have counted down.
    ttlSeconds: Math.max(ttlSeconds, TTL_SECONDS),
  }
}

/** TempError dns/*: nobody can say. */
export async function fetchFacts(context: Context, domain: string): Promise<PublishedFacts> {
  return publishedFacts(await fetchPublished(context.services('without-table'), domain))
}

export type Verdict =
  | { readonly status: 'good'; readonly parameters: AnyParameters }
  | { readonly status: 'none' }
  | { readonly status: 'broken'; readonly reasons: readonly string[] }

/** What a sender, or for `cc` a verifier, makes of it: docs/formats.md section 1. */
export function judge(
  records: readonly PublishedRecord[],
  clock: Clock,
  scheme: MasterKeyScheme = 'bf',
): Verdict {
  const reasons = records.flatMap((record) => (record.kind === 'broken' ? [record.reason] : []))
  const sets = parametersOf(records)
  try {
    const best = selectParameters(sets, scheme, nowSeconds(clock))
    if (best) return { status: 'good', parameters: best }
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    return { status: 'broken', reasons: [error.message] }
  }
  if (sets.some((set) => set.scheme === scheme)) reasons.push('all are past their x')
  return reasons.length > 0 ? { status: 'broken', reasons } : { status: 'none' }
}

function parametersOf(records: readonly PublishedRecord[]): AnyParameters[] {
  return records.flatMap((record) => (record.kind === 'parameters' ? [record.parameters] : []))
}

export interface Difference {
  readonly severity: 'warn' | 'fail'
  readonly text: string
}

/** What goes without while a scheme's newest generation is not published. */
const UNPUBLISHED: Readonly<Record<MasterKeyScheme, string>> = {
  bf: 'nobody encrypts',
  cc: 'nothing is signed',
  bb2: 'nobody uses it',
}

/** Where DNS and the vault do not agree. `fail`: what is done under it now is not opened, not encrypted or not signed. */
export function compareWithVault(
  records: readonly PublishedRecord[],
  entries: readonly MasterKeyEntry[],
  clock: Clock,
  scheme: MasterKeyScheme = 'bf',
): Difference[] {
  const published = parametersOf(records).filter((set) => set.scheme === scheme)
  const newest = entries.find((entry) => entry.retired === undefined)
  const verdict = judge(records, clock, scheme)
  if (verdict.status === 'broken')
    return [{ severity: 'fail', text: `senders cannot use it: ${verdict.reasons.join('; ')}` }]
  const used = verdict.status === 'good' ? verdict.parameters : undefined
  const differences: Difference[] = []
  if (newest && !used) {
    const text = `${label(newest)} is not published: ${UNPUBLISHED[scheme]}`
    differences.push({ severity: scheme === 'bf' ? 'fail' : 'warn', text })
  } else if (newest && !published.some((set) => set.n === newest.n))
    differences.push({
      severity: 'warn',
      text: `${label(newest)}, the newest, is not published`,
    })
  for (const set of published) {
    const found = differenceOf(set, entries)
    if (!found) continue
    const harmful = found.lost && (set === used || set.n === newest?.n)
    differences.push({
      severity: harmful ? 'fail' : 'warn',
      text: `${label(set)} is published, and ${found.reason}`,
    })
  }
  return differences
}

/** `lost`: mail that was encrypted with it cannot be opened here. */
function differenceOf(
  set: AnyParameters,
  entries: readonly MasterKeyEntry[],
): { readonly reason: string; readonly lost: boolean } | undefined {
  const entry = entries.find((known) => known.n === set.n)
  if (!entry) return { reason: 'the vault has no such master key', lost: true }
  if (entry.retired !== undefined) return { reason: 'it is retired here', lost: true }
  const own = ownParametersOf(entry)
  if (set.version === '1.0' || own.version === '1.0')
    return bareRecord(own) === bareRecord(set)
      ? undefined
      : { reason: 'it is not the one in the vault', lost: true }
  if (!Buffer.from(own.publicKey).equals(set.publicKey))
    return { reason: 'its public key is not the one in the vault', lost: true }
  return set.period === entry.period
    ? undefined
    : { reason: `its period is ${set.period}, in the vault ${entry.period}`, lost: false }
}
