// What mail to some addresses is sealed for: the certificates that are theirs, and can be used now.
import { HishoError, PermError, TempError } from '../errors.ts'
import type { CorrespondentKeys, FoundKey } from '../mail/correspondent-keys.ts'
import type { OfferRequest } from '../mail/scheme.ts'
import { sideBySide } from '../mail/side-by-side.ts'
import { copies, type OpenPgpPool } from './openpgp.ts'
import { openPgpSettings } from './settings.ts'

export interface Recipients {
  /** By address, or by domain where no address was asked for. */
  readonly keys: ReadonlyMap<string, FoundKey>
  readonly untrusted?: string
}

interface Finder {
  readonly correspondentKeys: CorrespondentKeys
  readonly pool: OpenPgpPool
}

type Outcome =
  | { readonly kind: 'none' }
  | { readonly kind: 'key'; readonly key: FoundKey; readonly untrusted: string | undefined }
  | { readonly kind: 'failed'; readonly error: HishoError }

/**
 * Those addresses that can be sealed for alike: of trusted keys and of others, the trusted ones. undefined: none of them has
 * a key. PermError openpgp/key, or TempError: that is so of those that have.
 */
export async function findRecipients(
  request: OfferRequest,
  finder: Finder,
): Promise<Recipients | undefined> {
  const names = request.addresses.length > 0 ? request.addresses : [request.domain]
  const outcomes = await sideBySide(names, async (name) => ({
    name,
    outcome: await outcomeOf(name, request, finder),
  }))
  const found = outcomes.flatMap(({ name, outcome }) =>
    outcome.kind === 'key' ? [{ name, ...outcome }] : [],
  )
  const trusted = found.filter(({ untrusted }) => untrusted === undefined)
  const same = trusted.length > 0 ? trusted : found
  if (same.length > 0) {
    const untrusted = same.find((one) => one.untrusted !== undefined)?.untrusted
    return {
      keys: new Map(same.map(({ name, key }) => [name, key])),
      ...(untrusted !== undefined && { untrusted }),
    }
  }
  const failures = outcomes.flatMap(({ outcome }) =>
    outcome.kind === 'failed' ? [outcome.error] : [],
  )
  const [error] = failures.toSorted((one, other) => one.statusClass - other.statusClass)
  if (error) throw error
  return undefined
}

async function outcomeOf(
  name: string,
  { settings, spellings }: OfferRequest,
  { correspondentKeys, pool }: Finder,
): Promise<Outcome> {
  try {
    const { sources } = openPgpSettings(settings)
    const found = await correspondentKeys.find('openpgp', name, sources, spellings?.get(name))
    const problems: string[] = []
    for (const key of newestFirst(found)) {
      const problem =
        problemWithName(key, name) ??
        (await pool.run('problemWith', { certificates: copies([key.bytes]) }))
      if (problem === undefined) return { kind: 'key', key, untrusted: reasonAgainst(key) }
      problems.push(`${key.fingerprint} (${key.source}): ${problem}`)
    }
    if (problems.length === 0) return { kind: 'none' }
    throw new PermError('openpgp/key', `${name}: ${problems.join('; ')}`)
  } catch (error) {
    if (error instanceof PermError || error instanceof TempError) return { kind: 'failed', error }
    throw error
  }
}

/** What expires last is the newest, as far as one can see. */
function newestFirst(keys: readonly FoundKey[]): FoundKey[] {
  const end = (key: FoundKey): string => key.expires ?? '9999'
  return keys.toSorted((one, other) => (end(one) < end(other) ? 1 : -1))
}

/** The operator knows whose key it is; all others have only what it says itself. */
function problemWithName(key: FoundKey, address: string): string | undefined {
  if (key.source === 'operator' || key.addresses.includes(address)) return undefined
  return 'it does not name the address'
}

function reasonAgainst({ untrusted, source }: FoundKey): string | undefined {
  if (untrusted !== undefined) return untrusted
  return source === 'harvested'
    ? 'the key came with mail, and nothing else vouches for it'
    : undefined
}
