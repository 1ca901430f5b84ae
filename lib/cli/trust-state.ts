// Where a domain's parameters come from, and whether they may be used where encryption is required: docs/trust.md.
import { HishoError, PermError } from '../errors.ts'
import type { AnyParameters } from '../ibe/parameters.ts'
import type { TrustSource } from '../mail/scheme.ts'
import { bareRecord } from '../services/own-records.ts'
import type { Services } from '../services/services.ts'
import type { PublishedRecord } from './published.ts'

export interface TrustState {
  /**
   * `new`: seen for the first time, and remembered from now on. `changed`, `vanished`: what is remembered is not what is
   * published. `unusable`, `unknown`: `reason` says why.
   */
  readonly status:
    | 'authenticated'
    | 'remembered'
    | 'new'
    | 'changed'
    | 'vanished'
    | 'none'
    | 'unusable'
    | 'unknown'
  readonly source: TrustSource | null
  readonly reason: string | null
}

/** As the gateway sees it, and with what that leaves behind: a first sight is remembered. */
export async function trustStateOf(
  { directory, table }: Pick<Services, 'directory' | 'table'>,
  domain: string,
  published: readonly PublishedRecord[],
): Promise<TrustState> {
  const trust = table.current().ruleFor(domain).paramsTrust
  try {
    const before = await directory.remembered(domain)
    const found =
      (await directory.encryptionParameters(domain, trust)) ??
      (await directory.legacyParameters(domain, trust))
    if (!found) return { status: 'none', source: null, reason: null }
    const { parameters, source, untrusted } = found
    if (untrusted !== undefined)
      return { status: doubtOf(parameters, published), source, reason: untrusted }
    if (source !== 'continuity') return { status: 'authenticated', source, reason: null }
    return { status: before.length === 0 ? 'new' : 'remembered', source, reason: null }
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    const status = error instanceof PermError ? 'unusable' : 'unknown'
    return { status, source: null, reason: error.message }
  }
}

function doubtOf(
  remembered: AnyParameters,
  published: readonly PublishedRecord[],
): 'changed' | 'vanished' {
  const rivals = published.filter(
    (record) =>
      record.kind === 'parameters' &&
      record.parameters.scheme === remembered.scheme &&
      record.parameters.n >= remembered.n &&
      bareRecord(record.parameters) !== bareRecord(remembered),
  )
  return rivals.length > 0 ? 'changed' : 'vanished'
}

export function trustSentence(domain: string, { status, source, reason }: TrustState): string {
  const doubt = `${reason ?? ''}. If that is its operators' will: hisho params accept ${domain}`
  switch (status) {
    case 'authenticated':
      return `authenticated: ${source ?? ''}`
    case 'remembered':
      return 'remembered: as it was seen before, or signed by what was'
    case 'new':
      return 'new: seen for the first time, and remembered from now on'
    case 'changed':
      return `changed, not used where encryption is required: ${doubt}`
    case 'vanished':
      return `vanished, not used where encryption is required: ${doubt}`
    case 'none':
      return 'nothing to encrypt with'
    case 'unusable':
    case 'unknown':
      return `${status}: ${reason ?? ''}`
  }
}
