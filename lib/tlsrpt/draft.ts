// Who wants a report on a name, and the report: RFC 8460 sections 3 and 4.
import { TempError } from '../errors.ts'
import type { Day } from './day.ts'
import { makeLetter, makeReport, type Letter, type Submitter } from './letter.ts'
import { formatDestination, type Destination, type TlsrptRecord } from './record.ts'
import type { PolicyReport } from './report.ts'
import { sumUp, type NamedCounts } from './walk.ts'

export interface ReportRules {
  readonly mode: 'dry_run' | 'send'
  readonly onlyFailures: boolean
  readonly redirectTo: string | undefined
  /** Domains, addresses, and hosts of URLs; in lower case. */
  readonly suppressed: ReadonlySet<string>
  readonly maxBytes: number
}

export type Draft =
  | { readonly status: 'unwanted' }
  /** Nobody can say now. */
  | { readonly status: 'unknown'; readonly reason: string }
  | { readonly status: 'ready'; readonly letter: Letter; readonly to: readonly Destination[] }

export interface DrafterOptions {
  /** TempErrors where nobody can say. */
  readonly lookUp: (name: string) => Promise<TlsrptRecord>
  readonly submitter: Submitter
  readonly rules: ReportRules
}

export type DraftReport = (day: Day, named: NamedCounts) => Promise<Draft>

/** A resolver remembers too. */
const MAX_REMEMBERED = 10_000
const UNWANTED: Draft = { status: 'unwanted' }

/** For one round: a record is not looked up again and again. */
export function createDrafter({ lookUp, submitter, rules }: DrafterOptions): DraftReport {
  const records = remembered(lookUp)
  const readersOf = async (name: string): Promise<readonly Destination[]> =>
    allowed(await records(name), rules)

  const draft = async (day: Day, { name, via }: NamedCounts): Promise<Draft> => {
    if (rules.suppressed.has(name) || isEmpty([...via.values()].flat(), rules)) return UNWANTED
    const to = await readersOf(name)
    if (to.length === 0) return UNWANTED
    // Of a host: not what its readers get in the report of a domain already.
    const lists = await Promise.all(
      [...via].map(async ([domain, list]) => {
        if (domain === undefined) return [list]
        const others = await readersOf(domain).catch(() => [])
        return textOf(others) === textOf(to) ? [] : [list]
      }),
    )
    const policies = sumUp(name, lists.flat())
    if (isEmpty(policies, rules)) return UNWANTED
    const letter = await makeLetter(name, makeReport(name, day, policies, submitter), submitter.id)
    return { status: 'ready', to: redirected(to, rules), letter }
  }

  return async (day, named) => {
    try {
      return await draft(day, named)
    } catch (error) {
      if (error instanceof TempError) return { status: 'unknown', reason: error.message }
      throw error
    }
  }
}

function isEmpty(policies: readonly PolicyReport[], { onlyFailures }: ReportRules): boolean {
  return onlyFailures
    ? policies.every(({ failedSessions }) => failedSessions === 0)
    : policies.length === 0
}

function allowed(record: TlsrptRecord, { suppressed }: ReportRules): readonly Destination[] {
  if (record.status !== 'found') return []
  return record.destinations.filter((to) => {
    if (to.kind === 'https') return !suppressed.has(new URL(to.url).hostname)
    const address = to.address.toLowerCase()
    return !suppressed.has(address) && !suppressed.has(address.slice(address.lastIndexOf('@') + 1))
  })
}

function redirected(
  to: readonly Destination[],
  { redirectTo }: ReportRules,
): readonly Destination[] {
  return redirectTo === undefined ? to : [{ kind: 'mail', address: redirectTo }]
}

function textOf(destinations: readonly Destination[]): string {
  return destinations.map(formatDestination).toSorted().join()
}

function remembered(lookUp: DrafterOptions['lookUp']): DrafterOptions['lookUp'] {
  const known = new Map<string, Promise<TlsrptRecord>>()
  return (name) => {
    const found = known.get(name) ?? lookUp(name)
    if (known.size >= MAX_REMEMBERED) known.clear()
    known.set(name, found)
    return found
  }
}
