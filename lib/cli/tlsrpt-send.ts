// `hisho tlsrpt send`: the reports that are due, without waiting for their time; or what would be in them.
import { PermError } from '../errors.ts'
import type { ReportSettings } from '../services/tlsrpt-settings.ts'
import type { Day } from '../tlsrpt/day.ts'
import type { Draft } from '../tlsrpt/draft.ts'
import { formatDestination } from '../tlsrpt/record.ts'
import { walkDay } from '../tlsrpt/walk.ts'
import type { Context } from './context.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { openDays, tlsrptSettings } from './tlsrpt.ts'

/** Haraka sends them: it has the queue, and the key for DKIM. */
export async function askForReports(context: Context): Promise<void> {
  const { mode } = reportSettings(context)
  await context.services('without-table').tlsrpt.askForReports()
  context.terminal.line(
    `A running Haraka with hisho/tlsrpt makes the reports of days that are over within two minutes${mode === 'dry_run' ? ' (mode is dry_run: it says in its log what it would send)' : ''}.`,
  )
}

/** Of each day that is not reported yet, today too. */
export async function rehearseReports(
  context: Context,
  { domain, json }: { readonly domain: string | undefined; readonly json: boolean },
): Promise<ExitCode> {
  const { terminal } = context
  const store = openDays(context)
  const draft = await context.services('without-table').tlsrpt.drafter(reportSettings(context))
  const shown: object[] = []
  for (const day of await store.days()) {
    if ((await store.progress(day)) === 'done') continue
    const wants = (name: string): boolean => domain === undefined || name === domain
    for await (const named of walkDay(store, day, wants, () => {})) {
      const made = await draft(day, named)
      const entry = viewOf(day, named.name, made)
      if (!entry) continue
      if (json) shown.push(entry)
      else {
        terminal.line(`${day} ${named.name}: ${wordsOf(made)}`)
        if (made.status === 'ready')
          terminal.line(JSON.stringify(JSON.parse(made.letter.json), undefined, 2))
        shown.push(entry)
      }
    }
  }
  if (json) terminal.json(shown)
  else if (shown.length === 0) terminal.line('no report would be sent')
  return EXIT.ok
}

function reportSettings(context: Context): ReportSettings {
  const { report } = tlsrptSettings(context)
  if (report === undefined)
    throw new PermError(
      'haraka/settings',
      'hisho.tlsrpt.ini [report]: no reports are made without `from`, nor with mode=off',
    )
  return report
}

function wordsOf(draft: Draft): string {
  if (draft.status === 'unknown') return `cannot be said now: ${draft.reason}`
  if (draft.status === 'unwanted') return 'none'
  const to = draft.to.map(formatDestination).join(', ')
  return `${draft.letter.compressed.length} bytes, to ${to}`
}

function viewOf(day: Day, name: string, draft: Draft): object | undefined {
  if (draft.status === 'unwanted') return undefined
  if (draft.status === 'unknown') return { day, name, unknown: draft.reason }
  const { letter, to } = draft
  const report: unknown = JSON.parse(letter.json)
  return { day, name, to: to.map(formatDestination), bytes: letter.compressed.length, report }
}
