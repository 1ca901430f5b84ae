// `hisho kgc trust`: the public keys of the KGC are pinned anew, after the operator has seen what changes.
import { PermError } from '../errors.ts'
import { parseDomainTable } from '../protection/domain-table.ts'
import { openKgc } from '../services/kgc-keys.ts'
import { SCHEME_KINDS } from '../services/schemes.ts'
import type { Context } from './context.ts'
import { pinsAfter, surveyKgc, surveyTable } from './kgc-survey.ts'
import { askYes, isInteractive } from './prompt.ts'
import { readTable } from './table-edit.ts'
import { formatTable } from './terminal.ts'

export async function trustKgc(
  context: Context,
  { yes }: { readonly yes: boolean },
): Promise<void> {
  const { terminal } = context
  const { kgc, tableFile } = context.settings()
  if (!kgc) throw new PermError('cli/usage', 'hisho.ini names no KGC: there is nothing to trust')
  const domains = [...parseDomainTable(await readTable(tableFile), tableFile, SCHEME_KINDS).local]
  const { client, pinFile } = openKgc(kgc)
  try {
    // A file that cannot be read is no reason: it is replaced.
    const pins = await pinFile.read().catch(() => new Map<string, never>())
    const survey = await surveyKgc(context, client, pins, domains)
    const { head, rows } = surveyTable(survey)
    terminal.line(formatTable(head, rows))
    const changes = survey.rows.filter(({ pin }) => pin !== 'same').length + survey.gone.length
    if (changes === 0) return terminal.line('\nAll of it is pinned already.')
    terminal.line(`\nCompare the fingerprints with what \`hisho kgc serve\` shows on the KGC.`)
    if (!yes) await confirm()
    await pinFile.write(pinsAfter(pins, survey, domains))
    terminal.line(`${kgc.pinFile} written; Haraka need not be restarted`)
  } finally {
    client.close()
  }
}

async function confirm(): Promise<void> {
  if (!isInteractive()) throw new PermError('cli/usage', 'nobody to ask: say --yes')
  if (!(await askYes('Take these for the keys of the KGC?')))
    throw new PermError('cli/usage', 'nothing was changed')
}
