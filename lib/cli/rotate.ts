// `hisho kgc rotate`: from one generation of keys to the next, a step at each call; rotation.ts knows which.
import {
  activeEntries,
  withEntry,
  withMasterKey,
  type MasterKeyEntry,
  type MasterKeyScheme,
  type VaultContents,
} from '../vault/contents.ts'
import { PermError } from '../errors.ts'
import type { Context } from './context.ts'
import { label } from './generation-label.ts'
import { fetchFacts, type PublishedFacts } from './published.ts'
import { QUEUE_DAYS, rotationStep, type RotationStep } from './rotation.ts'
import { generateEntry, openVault, zoneLineOf } from './vault-session.ts'
import { zoneLine } from './zone-record.ts'
import { bareRecord, parametersOf } from '../services/own-records.ts'

export interface RotateOptions {
  readonly domain: string
  /** Undefined: each that the vault has. */
  readonly scheme: MasterKeyScheme | undefined
  readonly queueDays: number | undefined
}

interface Work {
  readonly context: Context
  readonly domain: string
  readonly queueDays: number
  readonly facts: PublishedFacts
  contents: VaultContents
}

export async function rotate(
  context: Context,
  { domain, scheme, queueDays = QUEUE_DAYS }: RotateOptions,
): Promise<void> {
  const vault = await openVault(context)
  const schemes = (['bf', 'cc', 'bb2'] as const).filter(
    (known) =>
      (scheme === undefined || known === scheme) &&
      activeEntries(vault.contents, domain, known).length > 0,
  )
  if (schemes.length === 0)
    throw new PermError('cli/usage', `the vault has no such master key of ${domain}: hisho kgc new`)
  const facts = await fetchFacts(context, domain)
  const work: Work = { context, domain, queueDays, facts, contents: vault.contents }
  const lines: string[] = []
  for (const known of schemes) lines.push(...(await advance(work, known)))
  // The vault first: nothing is told to be published that is not on the disk.
  if (work.contents !== vault.contents) await vault.save(work.contents)
  for (const line of lines) context.terminal.line(line)
}

async function advance(work: Work, scheme: MasterKeyScheme): Promise<string[]> {
  noteFirstSight(work, scheme)
  const step = stepOf(work, scheme)
  if (step.step === 'steady') {
    const fresh = await generateEntry(work.context, work.contents, work.domain, {
      scheme,
      period: step.current.period,
    })
    work.contents = withMasterKey(work.contents, work.domain, fresh)
    return [`${label(fresh)} of ${work.domain} is new in the vault.`, ...(await tell(work, scheme))]
  }
  if (step.step === 'withdraw') {
    for (const entry of step.older) setDate(work, entry, 'withdrawn')
  }
  return tell(work, scheme)
}

/** From here the time counts that senders need to see it. */
function noteFirstSight(work: Work, scheme: MasterKeyScheme): void {
  const [newest] = activeEntries(work.contents, work.domain, scheme)
  if (newest && newest.published === undefined && work.facts.isPublished(newest))
    setDate(work, newest, 'published')
}

function setDate(work: Work, entry: MasterKeyEntry, date: 'published' | 'withdrawn'): void {
  const now = new Date(work.context.clock.nowMs()).toISOString()
  work.contents = withEntry(work.contents, work.domain, { ...entry, [date]: now })
}

function stepOf({ context, contents, domain, facts, queueDays }: Work, scheme: MasterKeyScheme) {
  return rotationStep({
    active: activeEntries(contents, domain, scheme),
    isPublished: facts.isPublished,
    ttlSeconds: facts.ttlSeconds,
    queueDays,
    nowMs: context.clock.nowMs(),
  })
}

/** What the operator has to do now. */
async function tell(work: Work, scheme: MasterKeyScheme): Promise<string[]> {
  const { domain, context, contents } = work
  const step = stepOf(work, scheme)
  if (step.step === 'publish')
    return [
      `Publish ${label(step.next)}${step.older.length > 0 ? ', beside what is there' : ''}:`,
      `  ${await zoneLineOf(context, contents, domain, step.next)}`,
      again(domain, 'once it is in DNS'),
    ]
  if (step.step === 'wait')
    return [
      `${label(step.next)} is published beside ${labels(step.older)}. Leave both there.`,
      again(domain, `after ${dateOf(step.untilMs)}, when all senders have seen it`),
    ]
  if (step.step === 'unpublish')
    return [
      `Remove from DNS, and leave ${labels(activeEntries(contents, domain, scheme).slice(0, 1))} there:`,
      ...step.older.map((entry) => `  ${zoneLine(domain, bareRecord(parametersOf(entry)))}`),
      again(domain, 'once it is gone'),
    ]
  return [sentence(domain, step)]
}

/** The state in a sentence: for `hisho doctor` too. */
export function sentence(domain: string, step: RotationStep): string {
  switch (step.step) {
    case 'none':
      return `no master key of ${domain}`
    case 'steady':
      return `${label(step.current)} is published, no rotation is under way`
    case 'publish':
      return `${label(step.next)} is not published`
    case 'wait':
      return `${label(step.next)} is published beside ${labels(step.older)}; withdraw these after ${dateOf(step.untilMs)}`
    case 'withdraw':
      return `${labels(step.older)} can be withdrawn: hisho kgc rotate --domain ${domain}`
    case 'unpublish':
      return `${labels(step.older)} is withdrawn and still in DNS`
    case 'drain':
      return `${labels(step.older)} opens what is under way; retire it after ${dateOf(step.untilMs)}: hisho kgc retire --domain ${domain}`
    case 'retire':
      return `${labels(step.older)} can be retired: hisho kgc retire --domain ${domain}`
  }
}

function labels(entries: readonly MasterKeyEntry[]): string {
  return entries.map(label).join(', ')
}

function dateOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16)}Z`
}

function again(domain: string, when: string): string {
  return `Then, ${when}: hisho kgc rotate --domain ${domain}`
}
