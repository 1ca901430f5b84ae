// From what was heard to what may be used: authenticated records replace what is remembered, others must agree with it.
import { nowSeconds, type Clock } from '../../clock.ts'
import { TempError } from '../../errors.ts'
import type { TrustSource } from '../../mail/scheme.ts'
import { nameOf, type AnyParameters, type Scheme } from '../parameters.ts'
import { claimsOf, judge, type Claim } from './continuity.ts'
import type { Memory } from './memory.ts'
import type { Outcome } from './outcome.ts'
import {
  checkRecords,
  readRecords,
  RECORD_LABEL,
  SCHEMES,
  type DomainRecord,
  type DomainRecords,
} from './records.ts'
import type { Evidence } from './sources.ts'

export interface AppraisalOptions {
  readonly memory: Memory
  readonly clock: Clock
  /** PermError naming the tag: its numbers cannot be used. */
  readonly check: (parameters: AnyParameters) => Promise<void>
  /** Whether `signer` has signed the record. */
  readonly verify: (domain: string, claim: Claim) => Promise<boolean>
  readonly log: (level: 'warn' | 'error', message: string) => void
}

/** TempError where the memory is wanted and cannot be had. */
export type Appraise = (
  domain: string,
  evidence: Evidence,
  trust: readonly TrustSource[],
) => Promise<Outcome>

export function createAppraisal(options: AppraisalOptions): Appraise {
  const { memory, clock, check, verify, log } = options

  const replaceMemory = async (domain: string, records: readonly DomainRecord[]): Promise<void> => {
    const held = await memory.recall(domain).catch((error: unknown) => {
      if (error instanceof TempError && error.code === 'cache/malformed') return undefined
      throw error
    })
    if (!held || !sameRecords(held, records)) await memory.remember(domain, records)
  }

  const authenticated = async (
    domain: string,
    source: TrustSource,
    read: DomainRecords,
  ): Promise<Outcome> => {
    const { usable, unusable } = await checkRecords(read, check)
    try {
      await replaceMemory(domain, usable)
    } catch (error) {
      if (!(error instanceof TempError)) throw error
      log('warn', `${domain}: its parameters are not remembered: ${error.message}`)
    }
    return { source, records: usable, unusable, untrusted: {} }
  }

  const judgeScheme = async (
    domain: string,
    scheme: Scheme,
    remembered: readonly DomainRecord[],
    seen: readonly DomainRecord[],
  ) => {
    const claims = claimsOf(remembered, seen)
    const good = await Promise.all(claims.map((claim) => verify(domain, claim)))
    const proven = claims.filter((_, at) => good[at])
    const judgement = judge(remembered, seen, proven, nowSeconds(clock))
    for (const { parameters } of judgement.ignored)
      log(
        'warn',
        `${domain}: its a=${scheme} n=${parameters.n} is left alone: nothing vouches for it`,
      )
    if (judgement.untrusted !== undefined)
      log(
        'error',
        `${domain}: a=${scheme}: ${judgement.untrusted}. What is remembered stays in use, but not where encryption is required. If this is the domain's will: hisho params accept ${domain}`,
      )
    return { scheme, ...judgement }
  }

  const remembered = async (domain: string, read: DomainRecords): Promise<Outcome> => {
    const held = await memory.recall(domain)
    const known = new Set(held.map(({ parameters }) => nameOf(parameters)))
    const { usable, unusable } = await checkRecords(read, async (parameters) => {
      if (!known.has(nameOf(parameters))) await check(parameters)
    })
    const judged = await Promise.all(
      SCHEMES.map((scheme) =>
        judgeScheme(domain, scheme, ofScheme(held, scheme), ofScheme(usable, scheme)),
      ),
    )
    const kept = judged.flatMap(({ remember }) => remember)
    if (!sameRecords(held, kept)) await memory.remember(domain, kept)
    return {
      source: 'continuity',
      records: judged.flatMap(({ use }) => use),
      unusable,
      untrusted: Object.fromEntries(
        judged.flatMap(({ scheme, untrusted }) =>
          untrusted === undefined ? [] : [[scheme, untrusted]],
        ),
      ),
    }
  }

  return async (domain, { authenticatedBy, texts }, trust) => {
    const read = readRecords(texts)
    if (!authenticatedBy && !trust.includes('continuity'))
      return { source: 'continuity', records: [], unusable: unauthenticated(read), untrusted: {} }
    const outcome = authenticatedBy
      ? await authenticated(domain, authenticatedBy, read)
      : await remembered(domain, read)
    for (const { reason } of outcome.unusable)
      log('warn', `${domain}: a record at ${RECORD_LABEL} is left out: ${reason}`)
    return outcome
  }
}

function unauthenticated({ usable, unusable }: DomainRecords): Outcome['unusable'] {
  const reason = 'not authenticated (params_trust)'
  return [...unusable, ...usable.map(({ parameters: { scheme } }) => ({ scheme, reason }))]
}

function ofScheme(records: readonly DomainRecord[], scheme: Scheme): readonly DomainRecord[] {
  return records.filter(({ parameters }) => parameters.scheme === scheme)
}

function sameRecords(some: readonly DomainRecord[], others: readonly DomainRecord[]): boolean {
  const names = (records: readonly DomainRecord[]): string =>
    [...new Set(records.map(({ parameters }) => nameOf(parameters)))].sort().join('\n')
  return names(some) === names(others)
}
