// `hisho domains`: the table of domains, and what it means for mail.
import { HishoError, PermError, TempError } from '../errors.ts'
import { decide } from '../protection/decision.ts'
import type { DomainRule } from '../protection/domain-rule.ts'
import { EXEMPTIONS } from '../protection/exemption.ts'
import { parseDomainTable } from '../protection/domain-table.ts'
import { SCHEME_KINDS } from '../services/schemes.ts'
import type { Context } from './context.ts'
import { asUsage } from './encrypt.ts'
import { EXIT, exitCodeOf, type ExitCode } from './exit-code.ts'
import { parseDomain } from './kgc.ts'
import {
  editTable,
  parsePattern,
  readTable,
  withoutRule,
  withRule,
  type RuleChange,
} from './table-edit.ts'
import { formatTable } from './terminal.ts'

export async function listDomains(
  context: Context,
  { json }: { readonly json: boolean },
): Promise<void> {
  const { terminal } = context
  const { tableFile } = context.settings()
  const table = parseDomainTable(await readTable(tableFile), tableFile, SCHEME_KINDS)
  const local = [...table.local]
  if (json) return terminal.json({ file: tableFile, local, domains: table.rules })
  terminal.line(`local: ${local.join(', ') || '(none)'}\n`)
  terminal.line(
    formatTable(
      [
        'DOMAIN',
        'ENCRYPT',
        'SCHEMES',
        'ON LOOKUP FAILURE',
        'ON NO KEY',
        'ANSWER IN CLEAR',
        'EXEMPT',
        'TRUST',
        'NO SIGNATURE',
        'BAD SIGNATURE',
        'UNPROVEN',
        'TRANSPORT',
        'FLOOR',
      ],
      table.rules.map((rule) => [
        rule.pattern,
        rule.encrypt,
        [rule.schemes.join(','), ...settingTexts(rule.settings)].join(' '),
        rule.onLookupFailure,
        rule.onNoKey,
        rule.replyPlain,
        exemptText(rule.exempt),
        rule.paramsTrust.join(','),
        rule.missingSignature,
        rule.failedSignature,
        rule.unproven,
        rule.transport,
        rule.floor,
      ]),
    ),
  )
}

function exemptText(exempt: DomainRule['exempt']): string {
  if (exempt.length === EXEMPTIONS.length) return 'all'
  return exempt.join(',') || 'none'
}

function settingTexts(settings: DomainRule['settings']): string[] {
  return Object.entries(settings).map(([key, value]) => `${key}=${String(value)}`)
}

export async function setDomain(
  context: Context,
  domain: string,
  change: RuleChange,
): Promise<void> {
  const pattern = parsePattern(domain)
  if (Object.keys(change).length === 0)
    throw new PermError('cli/usage', 'nothing to set: see hisho domains set --help')
  const { tableFile } = context.settings()
  report(context, await editTable(tableFile, withRule(pattern, change)), tableFile)
}

export async function removeDomain(context: Context, domain: string): Promise<void> {
  const { tableFile } = context.settings()
  report(context, await editTable(tableFile, withoutRule(parsePattern(domain))), tableFile)
}

function report({ terminal }: Context, outcome: string, file: string): void {
  terminal.line(`${file}: ${outcome}`)
  if (outcome === 'changed') terminal.line('A running Haraka reads it again within seconds.')
}

/** Without `target`: whether the table is good. With an address or a domain: what mail to it would get right now. */
export async function checkDomains(
  context: Context,
  target: string | undefined,
  { json }: { readonly json: boolean },
): Promise<ExitCode> {
  const { terminal } = context
  if (target === undefined) {
    const { tableFile } = context.settings()
    const table = parseDomainTable(await readTable(tableFile), tableFile, SCHEME_KINDS)
    const counts = { file: tableFile, local: table.local.size, domains: table.rules.length }
    if (json) terminal.json({ ...counts, status: 'good' })
    else terminal.line(`${tableFile}: good, ${counts.local} local, ${counts.domains} lines`)
    return EXIT.ok
  }
  const fate = await fateOf(context, target)
  if (json) terminal.json(fate.view)
  else
    terminal.line(
      `${fate.view.address ?? fate.view.domain}: ${fate.view.outcome} (${fate.view.reason}; line ${fate.view.rule})`,
    )
  return fate.code
}

type Outcome = 'encrypted' | 'clear' | 'held' | 'deferred' | 'refused'

const OUTCOMES = {
  seal: 'encrypted',
  ciphertext: 'encrypted',
  clear: 'clear',
  hold: 'held',
} as const

interface Fate {
  readonly code: ExitCode
  readonly view: {
    readonly domain: string
    readonly address?: string
    readonly rule: string
    readonly outcome: Outcome
    readonly reason: string
  }
}

async function fateOf(context: Context, target: string): Promise<Fate> {
  const services = context.services('with-table')
  const { normalizeAddress, schemes } = services
  const isAddress = target.includes('@')
  const wanted = isAddress ? asUsage(target, normalizeAddress) : parseDomain(target)
  const domain = wanted.slice(wanted.lastIndexOf('@') + 1)
  const table = services.table.current()
  const governing = isAddress ? table.ruleForAddress(wanted) : table.ruleFor(domain)
  const rule = table.isLocal(domain) ? 'local' : governing.pattern
  const fate = (code: ExitCode, outcome: Outcome, reason: string): Fate => ({
    code,
    view: { domain, ...(isAddress && { address: wanted }), rule, outcome, reason },
  })
  try {
    const options = { table, schemes, normalizeAddress, log: context.log }
    const { kind, reason } = await decide(wanted, undefined, options)
    return fate(kind === 'hold' ? EXIT.tempFail : EXIT.ok, OUTCOMES[kind], reason)
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    const outcome = error instanceof TempError ? 'deferred' : 'refused'
    return fate(exitCodeOf(error), outcome, `${error.code}: ${error.message}`)
  }
}
