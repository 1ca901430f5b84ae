// `hisho params accept`: the operator's word that what a domain publishes now is its own. docs/trust.md.
import { PermError, TempError } from '../errors.ts'
import { nameOf, parseParameters, type AnyParameters } from '../ibe/parameters.ts'
import { fingerprintOf } from '../services/own-records.ts'
import type { Services } from '../services/services.ts'
import type { Context } from './context.ts'
import { label } from './generation-label.ts'
import { askYes, isInteractive } from './prompt.ts'
import { readRecords, type PublishedRecord } from './published.ts'

export async function acceptParameters(
  context: Context,
  domain: string,
  { yes }: { readonly yes: boolean },
): Promise<void> {
  const { terminal } = context
  const services = context.services('without-table')
  const { texts, authentic } = await services.directory.publishedRecords(domain)
  const records = await readRecords(texts, services)
  const published = records.flatMap((record) =>
    record.kind === 'parameters' ? [record.parameters] : [],
  )
  const remembered = await recall(services, domain)
  terminal.line(`Remembered of ${domain}:`)
  printSets(context, remembered === 'damaged' ? ['something that is damaged'] : remembered)
  terminal.line(`Published now (${authentic ? 'DNSSEC' : 'plain DNS, which can be forged'}):`)
  printSets(context, [...published, ...records.flatMap(brokenText)])
  if (published.length === 0 && records.some(({ kind }) => kind === 'broken'))
    throw new PermError('ibe/parameters', `nothing of what ${domain} publishes can be used`)
  if (remembered !== 'damaged' && sameSets(remembered, published))
    return terminal.line('\nThat is the same: there is nothing to accept.')
  if (!yes) await confirm(domain, published)
  // What was shown, whatever DNS says by now.
  const accepted = (await services.directory.accept(domain, texts)).map(parseParameters)
  terminal.line(
    accepted.length > 0
      ? `\nAccepted: ${accepted.map((one) => (one ? label(one) : '')).join(', ')}.`
      : `\nForgotten: ${domain} counts as a domain that publishes nothing.`,
  )
  terminal.line(
    context.settings().redis
      ? 'Running gateways follow within a minute.'
      : 'Running gateways on this machine follow within a minute; on others, run this there too.',
  )
}

async function recall(
  { directory }: Pick<Services, 'directory'>,
  domain: string,
): Promise<readonly AnyParameters[] | 'damaged'> {
  try {
    const texts = await directory.remembered(domain)
    return texts.map(parseParameters).filter((one) => one !== undefined)
  } catch (error) {
    if (error instanceof TempError && error.code === 'cache/malformed') return 'damaged'
    throw error
  }
}

/** A text is said as it is. */
function printSets({ terminal }: Context, sets: readonly (AnyParameters | string)[]): void {
  if (sets.length === 0) terminal.line('  nothing')
  for (const set of sets)
    terminal.line(`  ${typeof set === 'string' ? set : `${label(set)}  ${fingerprintOf(set)}`}`)
}

function brokenText(record: PublishedRecord): string[] {
  return record.kind === 'broken' ? [`broken: ${record.reason}`] : []
}

function sameSets(some: readonly AnyParameters[], others: readonly AnyParameters[]): boolean {
  const names = (sets: readonly AnyParameters[]): string =>
    [...new Set(sets.map(nameOf))].sort().join('\n')
  return names(some) === names(others)
}

async function confirm(domain: string, published: readonly AnyParameters[]): Promise<void> {
  if (!isInteractive())
    throw new PermError('cli/usage', 'nobody to ask: compare the fingerprints, then say --yes')
  const question =
    published.length > 0
      ? `Have the operators of ${domain} told you these fingerprints, by telephone or on paper?`
      : `Mail for ${domain} will go in clear where your table does not require encryption. Forget its keys?`
  if (!(await askYes(question))) throw new PermError('cli/usage', 'nothing was changed')
}
