// `hisho tlsrpt show`: what was counted here of TLS on the way to other domains, and what to do about it.
import { TempError } from '../errors.ts'
import { inConfigOf } from '../services/delivery-settings.ts'
import { parseTlsrptSettings, type TlsrptSettings } from '../services/tlsrpt-settings.ts'
import type { Count } from '../tlsrpt/count.ts'
import type { Day } from '../tlsrpt/day.ts'
import type { DayStore } from '../tlsrpt/day-store.ts'
import { explain } from '../tlsrpt/explain.ts'
import type { FailureDetail } from '../tlsrpt/report.ts'
import { createTally } from '../tlsrpt/tally.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { formatTable, type Terminal } from './terminal.ts'

export interface ShowOptions {
  readonly domain: string | undefined
  readonly since: Day | undefined
  readonly json: boolean
}

/** For people; `--domain` has all of it. */
const LIMITS = { maxNames: 100_000, maxPolicies: 32, maxFailures: 100 }

export async function showCounts(
  context: Context,
  { domain, since = '', json }: ShowOptions,
): Promise<ExitCode> {
  const { terminal } = context
  const store = openDays(context)
  const days = (await store.days()).filter((day) => day >= since)
  const shown: { readonly day: Day; readonly counts: readonly Count[] }[] = []
  for (const day of days) shown.push({ day, counts: await countsOf(store, day, domain) })
  const all = shown.flatMap(({ day, counts }) => counts.map((count) => ({ day, ...count })))
  if (json) terminal.json(all)
  else if (all.length === 0) terminal.line('nothing was counted')
  else {
    terminal.line(
      formatTable(
        ['DAY', 'DOMAIN', 'POLICY', 'GOOD', 'FAILED'],
        all.map(({ day, name, policy, successfulSessions, failedSessions }) => [
          day,
          name,
          policy.policyDomain === name
            ? policy.policyType
            : `${policy.policyType} of ${policy.policyDomain}`,
          `${successfulSessions}`,
          `${failedSessions}`,
        ]),
      ),
    )
    for (const { day, counts } of shown) explainFailures(terminal, day, counts)
  }
  return all.some(({ failedSessions }) => failedSessions > 0) ? EXIT.failed : EXIT.ok
}

export function openDays(context: Context): DayStore {
  return context.services('without-table').tlsrpt.days(tlsrptSettings(context))
}

export function tlsrptSettings(context: Context): TlsrptSettings {
  const haraka = context.haraka()
  return parseTlsrptSettings(haraka.ini('hisho.tlsrpt.ini'), inConfigOf(haraka.config))
}

async function countsOf(
  store: DayStore,
  day: Day,
  domain: string | undefined,
): Promise<readonly Count[]> {
  const tally = createTally(LIMITS)
  const of = await store.parts(day)
  for (let part = 0; part < of; part += 1)
    for await (const count of store.read(day, { part, of, kind: 'domains' })) {
      if (domain !== undefined && count.name !== domain) continue
      if (!tally.add(count))
        throw new TempError(
          'cache/unreachable',
          `${day} has more domains than can be shown: ask for one, with --domain`,
        )
    }
  return tally.drain().toSorted((one, other) => (one.name < other.name ? -1 : 1))
}

function explainFailures(terminal: Terminal, day: Day, counts: readonly Count[]): void {
  for (const { name, failures } of counts)
    for (const failure of failures) {
      const { cause, nextStep } = explain(failure.resultType, 'ours')
      terminal.line('')
      terminal.line(terminal.paint('red', `${day} ${name}: ${wordsOf(failure)}`))
      terminal.line(`  ${cause}`)
      terminal.line(`  ${nextStep}`)
    }
}

function wordsOf(failure: FailureDetail): string {
  const { resultType, failedSessions, receivingMxHostname, receivingIp, failureReasonCode } =
    failure
  const where = receivingMxHostname === undefined ? '' : ` at ${receivingMxHostname}`
  const address = receivingIp === undefined ? '' : ` [${receivingIp}]`
  const why = failureReasonCode === undefined ? '' : `: ${failureReasonCode}`
  return `${resultType}, ${failedSessions} times${where}${address}${why}`
}
