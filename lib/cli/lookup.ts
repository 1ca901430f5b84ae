// `hisho lookup ADDRESS`: what mail to it would be protected with now, from where that comes, and how far it is trusted.
import { HishoError, TempError } from '../errors.ts'
import type { SourceReport } from '../key-directory/directory.ts'
import type { KeyKind } from '../mail/correspondent-keys.ts'
import { keySourcesOf } from '../mail/key-sources.ts'
import type { Scheme } from '../mail/scheme.ts'
import { isOwed, type DomainRule } from '../protection/domain-rule.ts'
import type { Services } from '../services/services.ts'
import type { Context } from './context.ts'
import { asUsage } from './encrypt.ts'
import { EXIT, type ExitCode } from './exit-code.ts'
import { pinView, type PinView } from './pins.ts'

type SchemeView = { readonly scheme: string } & (
  | { readonly status: 'usable'; readonly description: string }
  | { readonly status: 'untrusted'; readonly description: string; readonly reason: string }
  | { readonly status: 'none' }
  | { readonly status: 'failed' | 'unknown'; readonly reason: string }
)

interface SourceView {
  readonly kind: KeyKind
  readonly source: string
  readonly status: SourceReport['status']
  readonly reason?: string
  readonly until?: string
  readonly keys?: readonly {
    readonly fingerprint: string
    readonly addresses: readonly string[]
    readonly expires?: string
    readonly isOfDomain?: boolean
  }[]
}

interface LookupView {
  readonly address: string
  readonly rule: string
  readonly encrypt: DomainRule['encrypt'] | 'local'
  /** `undefined`: nothing. */
  readonly used: SchemeView | undefined
  readonly schemes: readonly SchemeView[]
  readonly sources: readonly SourceView[]
  readonly pins: readonly PinView[]
}

export async function lookUp(
  context: Context,
  given: string,
  { json }: { readonly json: boolean },
): Promise<ExitCode> {
  const services = context.services('with-table')
  const address = asUsage(given, services.normalizeAddress)
  const view = await viewOf(services, address, given)
  if (json) context.terminal.json(view)
  else print(context, view)
  return codeFor(view, services.table.current().ruleForAddress(address))
}

async function viewOf(services: Services, address: string, given: string): Promise<LookupView> {
  const { table, schemes, correspondentKeys } = services
  const domain = address.slice(address.lastIndexOf('@') + 1)
  const rule = table.current().ruleForAddress(address)
  const nothing = { address, used: undefined, schemes: [], sources: [], pins: [] }
  if (table.current().isLocal(domain)) return { ...nothing, rule: 'local', encrypt: 'local' }
  const views: SchemeView[] = []
  const sources: SourceView[] = []
  const pins: PinView[] = []
  for (const name of rule.schemes) {
    const scheme = schemes.find((one) => one.name === name)
    if (!scheme) continue
    views.push(await offered(scheme, rule, domain, address, given))
    const kind = correspondentKeys.kinds.find((one) => one === name)
    if (!kind) continue
    const found = await correspondentKeys.survey(kind, address, keySourcesOf(rule.settings), given)
    sources.push(...found.map((report) => sourceView(kind, report)))
    const pin = await pinView(correspondentKeys, { kind, address })
    if (pin) pins.push(pin)
  }
  const used = rule.encrypt === 'never' ? undefined : chosen(views, rule)
  const { pattern, encrypt } = rule
  return { address, rule: pattern, encrypt, used, schemes: views, sources, pins }
}

/** The first in the order of the line, as mail has it. */
function chosen(views: readonly SchemeView[], { encrypt }: DomainRule): SchemeView | undefined {
  const good = views.find(({ status }) => status === 'usable')
  return encrypt === 'required'
    ? good
    : (good ?? views.find(({ status }) => status === 'untrusted'))
}

async function offered(
  scheme: Scheme,
  { paramsTrust: trust, settings }: DomainRule,
  domain: string,
  address: string,
  given: string,
): Promise<SchemeView> {
  try {
    const spellings = new Map([[address, given]])
    const offer = await scheme.offer({ domain, addresses: [address], spellings, trust, settings })
    const isForIt = offer && (offer.addresses ?? [address]).includes(address)
    if (!isForIt) return { scheme: scheme.name, status: 'none' }
    const { description, untrusted } = offer
    return untrusted === undefined
      ? { scheme: scheme.name, status: 'usable', description }
      : { scheme: scheme.name, status: 'untrusted', description, reason: untrusted }
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    const status = error instanceof TempError ? 'unknown' : 'failed'
    return { scheme: scheme.name, status, reason: error.message }
  }
}

function sourceView(kind: KeyKind, report: SourceReport): SourceView {
  const { source, status } = report
  if (status === 'none')
    return { kind, source, status, ...(report.isProven && { reason: 'proven' }) }
  if (status !== 'found') return { kind, source, status, reason: report.reason }
  return {
    kind,
    source,
    status,
    ...(report.until !== undefined && { until: report.until }),
    keys: report.keys.map(({ fingerprint, addresses, expires, ...rest }) => ({
      fingerprint,
      addresses,
      ...(expires !== undefined && { expires }),
      ...('isOfDomain' in rest && rest.isOfDomain === true && { isOfDomain: true }),
    })),
  }
}

/** Mail that may not go in clear, and nothing to protect it with: 75 while that may pass, else 69. */
function codeFor({ encrypt, used, schemes }: LookupView, rule: DomainRule): ExitCode {
  if (used || encrypt === 'local' || encrypt === 'never') return EXIT.ok
  const mayPass = schemes.some(({ status }) => status === 'unknown' || status === 'untrusted')
  if (mayPass && (encrypt === 'required' || rule.onLookupFailure === 'defer')) return EXIT.tempFail
  return isOwed(rule) ? EXIT.unavailable : EXIT.ok
}

function print({ terminal }: Context, view: LookupView): void {
  const { address, rule, encrypt, used, schemes, sources, pins } = view
  if (encrypt === 'local') return terminal.line(`${address}: ours, it is not sealed`)
  const fate = used ? `sealed: ${descriptionOf(used)}` : 'nothing to seal with'
  terminal.line(`${address}: ${encrypt === 'never' ? 'in clear' : fate} (line ${rule}: ${encrypt})`)
  for (const one of schemes) {
    terminal.line(`  ${one.scheme}: ${descriptionOf(one)}`)
    for (const found of sources.filter(({ kind }) => kind === one.scheme)) {
      const what = found.reason === undefined ? found.status : `${found.status}: ${found.reason}`
      const until = found.until === undefined ? '' : `, remembered until ${found.until}`
      terminal.line(`    ${found.source}: ${what}${until}`)
      for (const { fingerprint, expires, isOfDomain } of found.keys ?? []) {
        const whose = isOfDomain ? ', of the whole domain' : ''
        terminal.line(`      ${fingerprint}${whose}${expires ? `, expires ${expires}` : ''}`)
      }
    }
    for (const pin of pins.filter(({ kind }) => kind === one.scheme)) {
      const how = pin.accepted ? 'accepted' : 'pinned'
      terminal.line(`    ${how} since ${pin.since} (${pin.source}): ${pin.fingerprints.join(', ')}`)
      for (const { fingerprint, source, since } of pin.pending)
        terminal.line(
          `    ${terminal.paint('yellow', 'another one')} since ${since} (${source}): ${fingerprint}`,
        )
    }
  }
}

function descriptionOf(view: SchemeView): string {
  if (view.status === 'none') return 'no key'
  if (view.status === 'usable') return view.description
  if (view.status === 'untrusted') return `${view.description}, not trusted: ${view.reason}`
  return `${view.status === 'unknown' ? 'cannot be said now' : 'cannot be used'}: ${view.reason}`
}
