// What a domain publishes, and whether it is what its vault says.
import { nowSeconds, type Clock } from '../clock.ts'
import { HishoError } from '../errors.ts'
import { parseParameters, selectParameters, type AnyParameters } from '../ibe/parameters.ts'
import type { Services } from '../services/services.ts'
import type { MasterKeyEntry } from '../vault/contents.ts'

export type PublishedRecord =
  | { readonly kind: 'parameters'; readonly text: string; readonly parameters: AnyParameters }
  | { readonly kind: 'foreign'; readonly text: string }
  | { readonly kind: 'broken'; readonly text: string; readonly reason: string }

/** TempError dns/*: nobody can say. */
export async function fetchPublished(
  { directory, ibe }: Pick<Services, 'directory' | 'ibe'>,
  domain: string,
): Promise<PublishedRecord[]> {
  const { texts } = await directory.publishedRecords(domain)
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

export type Verdict =
  | { readonly status: 'good'; readonly parameters: AnyParameters }
  | { readonly status: 'none' }
  | { readonly status: 'broken'; readonly reasons: readonly string[] }

/** What a sender makes of it: docs/formats.md section 1. */
export function judge(records: readonly PublishedRecord[], clock: Clock): Verdict {
  const reasons = records.flatMap((record) => (record.kind === 'broken' ? [record.reason] : []))
  const sets = parametersOf(records)
  try {
    const best = selectParameters(sets, 'bf', nowSeconds(clock))
    if (best) return { status: 'good', parameters: best }
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    return { status: 'broken', reasons: [error.message] }
  }
  if (sets.some((set) => set.scheme === 'bf')) reasons.push('all are past their x')
  return reasons.length > 0 ? { status: 'broken', reasons } : { status: 'none' }
}

function parametersOf(records: readonly PublishedRecord[]): AnyParameters[] {
  return records.flatMap((record) => (record.kind === 'parameters' ? [record.parameters] : []))
}

export interface Difference {
  readonly severity: 'warn' | 'fail'
  readonly text: string
}

/** Where DNS and the vault do not agree. `fail`: mail that senders encrypt now will not be opened, or is not encrypted. */
export function compareWithVault(
  records: readonly PublishedRecord[],
  entries: readonly MasterKeyEntry[],
  clock: Clock,
): Difference[] {
  const published = parametersOf(records).filter((set) => set.scheme === 'bf')
  const newest = entries
    .filter((entry) => entry.retired === undefined)
    .reduce<MasterKeyEntry | undefined>(
      (best, one) => (best && best.n > one.n ? best : one),
      undefined,
    )
  const verdict = judge(records, clock)
  if (verdict.status === 'broken')
    return [{ severity: 'fail', text: `senders cannot use it: ${verdict.reasons.join('; ')}` }]
  const used = verdict.status === 'good' ? verdict.parameters : undefined
  const differences: Difference[] = []
  if (newest && !used)
    differences.push({ severity: 'fail', text: `n=${newest.n} is not published: nobody encrypts` })
  else if (newest && !published.some((set) => set.n === newest.n))
    differences.push({ severity: 'warn', text: `n=${newest.n}, the newest, is not published` })
  for (const set of published) {
    const found = differenceOf(set, entries)
    if (!found) continue
    const harmful = found.lost && (set === used || set.n === newest?.n)
    differences.push({
      severity: harmful ? 'fail' : 'warn',
      text: `n=${set.n} is published, and ${found.reason}`,
    })
  }
  return differences
}

/** `lost`: mail that was encrypted with it cannot be opened here. */
function differenceOf(
  set: Extract<AnyParameters, { scheme: 'bf' }>,
  entries: readonly MasterKeyEntry[],
): { readonly reason: string; readonly lost: boolean } | undefined {
  const entry = entries.find((known) => known.n === set.n)
  if (!entry) return { reason: 'the vault has no such master key', lost: true }
  if (entry.retired !== undefined) return { reason: 'it is retired here', lost: true }
  if (!Buffer.from(entry.publicKey, 'base64').equals(set.publicKey))
    return { reason: 'its public key is not the one in the vault', lost: true }
  return set.period === entry.period
    ? undefined
    : { reason: `its period is ${set.period}, in the vault ${entry.period}`, lost: false }
}
