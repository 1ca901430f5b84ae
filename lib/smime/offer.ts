// For whom mail can be sealed, and with which certificates: those that are found, checked as RFC 8550 asks.
import type { Clock } from '../clock.ts'
import { HishoError, PermError } from '../errors.ts'
import type { CorrespondentKeys, FoundKey } from '../mail/correspondent-keys.ts'
import type { OfferRequest } from '../mail/scheme.ts'
import { sideBySide } from '../mail/side-by-side.ts'
import { readRecipientKey } from './cms/certificate-key.ts'
import { smimeSettings, type SmimeSettings } from './settings.ts'
import type { Trust } from './trust/trust.ts'

export interface Recipients {
  /** By address; by domain, where no address was asked for. */
  readonly keys: ReadonlyMap<string, FoundKey>
  readonly untrusted?: string
}

export interface RecipientOptions {
  readonly correspondentKeys: CorrespondentKeys
  readonly trust: Trust
  readonly clock: Clock
}

type Outcome =
  | { readonly kind: 'none' }
  | { readonly kind: 'key'; readonly key: FoundKey }
  | { readonly kind: 'failed'; readonly error: HishoError }

/**
 * Those addresses that can be sealed for alike: of trusted certificates and of others, the trusted ones. undefined: none of
 * them has any. PermError smime/certificate, or TempError: that is so of those that have.
 */
export async function findRecipients(
  request: OfferRequest,
  options: RecipientOptions,
): Promise<Recipients | undefined> {
  const names = request.addresses.length > 0 ? request.addresses : [request.domain]
  const outcomes = await sideBySide(names, async (name) => ({
    name,
    outcome: await outcomeFor(name, request, options),
  }))
  const found = outcomes.flatMap(({ name, outcome }) =>
    outcome.kind === 'key' ? [[name, outcome.key] as const] : [],
  )
  const trusted = found.filter(([, key]) => reasonAgainst(key) === undefined)
  const [first] = found
  if (trusted.length > 0) return { keys: new Map(trusted) }
  if (first) return { keys: new Map(found), untrusted: reasonAgainst(first[1]) ?? '' }
  const errors = outcomes.flatMap(({ outcome }) =>
    outcome.kind === 'failed' ? [outcome.error] : [],
  )
  // What may pass is said first.
  const [error] = errors.toSorted((one, other) => one.statusClass - other.statusClass)
  if (error) throw error
  return undefined
}

async function outcomeFor(
  name: string,
  { spellings, ...request }: OfferRequest,
  options: RecipientOptions,
): Promise<Outcome> {
  const settings = smimeSettings(request.settings)
  try {
    const { sources } = settings
    const found = await options.correspondentKeys.find('smime', name, sources, spellings?.get(name))
    const problems: string[] = []
    for (const key of newestFirst(found)) {
      const problem = await problemWith(key, name, settings, options)
      if (problem === undefined) return { kind: 'key', key }
      problems.push(`${key.fingerprint} (${key.source}): ${problem}`)
    }
    if (problems.length === 0) return { kind: 'none' }
    throw new PermError('smime/certificate', `${name}: ${problems.join('; ')}`)
  } catch (error) {
    if (error instanceof HishoError) return { kind: 'failed', error }
    throw error
  }
}

/** TempError smime/revocation where nobody can say now, and that matters. */
async function problemWith(
  key: FoundKey,
  name: string,
  { revocation }: SmimeSettings,
  { trust, clock }: RecipientOptions,
): Promise<string | undefined> {
  try {
    readRecipientKey(key.bytes)
  } catch (error) {
    if (error instanceof PermError) return error.message
    throw error
  }
  // RFC 8162 section 2 with RFC 7671 section 5.1: the record alone vouches for it.
  if (key.smimeaUsage === 3) return undefined
  const outcome = await trust.checkRecipient(key.bytes, [], {
    at: new Date(clock.nowMs()),
    ...(revocation !== undefined && { revocation }),
    // The operator knows whose it is.
    ...(key.source !== 'operator' && (name.includes('@') ? { address: name } : { domain: name })),
  })
  return outcome.status === 'trusted' ? undefined : outcome.reason
}

/** What expires last is the newest, as far as one can see. */
function newestFirst(keys: readonly FoundKey[]): FoundKey[] {
  const end = (key: FoundKey): string => key.expires ?? ''
  return keys.toSorted((one, other) => (end(one) < end(other) ? 1 : -1))
}

function reasonAgainst({ untrusted, source }: FoundKey): string | undefined {
  if (untrusted !== undefined) return untrusted
  return source === 'harvested'
    ? 'the certificate came with mail, and nothing else says that it is theirs'
    : undefined
}
