// Who gets what: for each recipient the protection that is owed, and groups of recipients that share a copy.
import { HishoError, PermError, TempError } from '../errors.ts'
import { mailboxesIn } from '../mail/address.ts'
import type { Field } from '../mail/header.ts'
import type { Protection } from '../mail/protected-content.ts'
import type { Offer, Scheme } from '../mail/scheme.ts'
import type { DomainRule } from './domain-rule.ts'
import type { DomainTable } from './domain-table.ts'

export interface OutgoingOptions {
  readonly table: DomainTable
  readonly schemes: readonly Scheme[]
  readonly normalizeAddress: (address: string) => string
  readonly log: (level: 'info' | 'notice' | 'warn', message: string) => void
}

/** A recipient as the caller knows it; `address` is `local@domain`. */
export interface Addressee {
  readonly address: string
  readonly domain: string
}

/** What one domain gets. `reason` is for the log. */
export type Decision =
  | { readonly kind: 'clear'; readonly reason: string }
  /** The message is ciphertext already; it goes as it is, and that satisfies `required`. */
  | { readonly kind: 'ciphertext'; readonly reason: string }
  | { readonly kind: 'seal'; readonly reason: string; readonly offer: Offer }

export interface OutgoingGroup<R extends Addressee> {
  readonly recipients: readonly R[]
  readonly decision: Decision
}

/** What mail to this domain gets. PermError protection/no-key, or TempError, where it may not go in clear. */
export async function decide(
  domain: string,
  already: Protection | undefined,
  options: OutgoingOptions,
): Promise<Decision> {
  const { table } = options
  if (table.isLocal(domain)) return { kind: 'clear', reason: 'local domain' }
  const rule = table.ruleFor(domain)
  if (rule.encrypt === 'never') return { kind: 'clear', reason: `${rule.pattern}: never` }
  if (already) return { kind: 'ciphertext', reason: `encrypted already (${already})` }
  try {
    const offer = await firstOffer(domain, rule, options)
    if (offer) return sealWith(offer, domain, rule, options)
  } catch (error) {
    return decideWithout(domain, rule, error, options)
  }
  if (rule.encrypt === 'required') {
    throw new PermError(
      'protection/no-key',
      `${domain}: encryption is required (${rule.pattern}) and there is no key for it (${rule.schemes.join(', ')})`,
      { peerText: `encryption is required for ${domain}, and there is no key for it` },
    )
  }
  return { kind: 'clear', reason: `no key for ${domain}` }
}

async function firstOffer(
  domain: string,
  rule: DomainRule,
  options: OutgoingOptions,
): Promise<Offer | undefined> {
  let broken: unknown
  for (const name of rule.schemes) {
    const scheme = options.schemes.find((known) => known.name === name)
    if (!scheme) continue
    try {
      const offer = await scheme.offer({
        domain,
        addresses: [],
        trust: rule.paramsTrust,
        settings: rule.settings,
      })
      if (offer) return offer
    } catch (error) {
      if (!(error instanceof PermError)) throw error
      broken ??= error // another scheme of the list may do
    }
  }
  if (broken) throw broken
  return undefined
}

/** A key that may not be the domain's own is good enough only where none at all would do. */
function sealWith(
  offer: Offer,
  domain: string,
  rule: DomainRule,
  { log }: OutgoingOptions,
): Decision {
  if (offer.untrusted !== undefined) {
    log('warn', `${domain}: ${offer.description}: ${offer.untrusted}`)
    if (rule.encrypt === 'required') {
      throw new TempError('ibe/untrusted', `${domain}: ${offer.untrusted} (${rule.pattern})`, {
        peerText: `the key of ${domain} has changed and is not confirmed`,
      })
    }
  }
  return { kind: 'seal', reason: offer.description, offer }
}

/** What to do when nobody can say whether there is a key, or when what is published cannot be used. */
function decideWithout(
  domain: string,
  rule: DomainRule,
  error: unknown,
  { log }: OutgoingOptions,
): Decision {
  if (!(error instanceof HishoError)) throw error
  if (error instanceof PermError) {
    // The other side can mend its record: deferred where protection is required, as good as none elsewhere.
    if (rule.encrypt === 'required')
      throw new TempError('protection/no-key', error.message, {
        cause: error,
        peerText: `the key that ${domain} publishes cannot be used now`,
      })
    log('warn', `${domain}: ${error.message}; sent in clear, since its mode is ${rule.encrypt}`)
    return { kind: 'clear', reason: `${domain}: no usable key` }
  }
  if (rule.encrypt === 'required' || rule.onLookupFailure === 'defer') throw error
  // Not a look-up that failed: our own keys are locked away, docs/formats.md section 7.
  if (error.code === 'vault/locked') throw error
  log('warn', `${domain}: ${error.message}; sent in clear (on_lookup_failure: send_plain)`)
  return { kind: 'clear', reason: `${domain}: look-up failed` }
}

/**
 * The groups of an envelope. Recipients of one domain who are visible in To or Cc share a sealed copy; each other one
 * (Bcc) has a copy of its own, so that no ciphertext names a recipient to another; and so has each of all recipients where
 * the format knows one a message.
 */
export async function planOutgoing<R extends Addressee>(
  recipients: readonly R[],
  fields: readonly Field[],
  already: Protection | undefined,
  options: OutgoingOptions,
): Promise<OutgoingGroup<R>[]> {
  const byDomain = groupByDomain(recipients)
  const decisions = await Promise.all(
    [...byDomain].map(async ([domain, members]) => ({
      members,
      decision: await decide(domain, already, options),
    })),
  )
  const groups: OutgoingGroup<R>[] = []
  for (const kind of ['clear', 'ciphertext'] as const) {
    const same = decisions.filter(({ decision }) => decision.kind === kind)
    const first = same[0]
    if (first) {
      const reason = [...new Set(same.map(({ decision }) => decision.reason))].join('; ')
      groups.push({
        recipients: same.flatMap(({ members }) => members),
        decision: { kind, reason },
      })
    }
  }
  for (const { members, decision } of decisions) {
    if (decision.kind !== 'seal') continue
    if (members.length === 1) {
      groups.push({ recipients: members, decision }) // alone either way: To and Cc need not be read
      continue
    }
    if (decision.offer.oneRecipient) {
      for (const member of members) groups.push({ recipients: [member], decision })
      continue
    }
    const visible = visibleAddresses(fields, options)
    const [shown, hidden] = partition(members, (member) =>
      visible.has(options.normalizeAddress(member.address)),
    )
    if (shown.length > 0) groups.push({ recipients: shown, decision })
    for (const member of hidden) groups.push({ recipients: [member], decision })
  }
  return groups
}

function groupByDomain<R extends Addressee>(recipients: readonly R[]): Map<string, R[]> {
  const groups = new Map<string, R[]>()
  for (const recipient of recipients) {
    const domain = recipient.domain.toLowerCase()
    groups.set(domain, [...(groups.get(domain) ?? []), recipient])
  }
  return groups
}

function visibleAddresses(
  fields: readonly Field[],
  { normalizeAddress }: OutgoingOptions,
): Set<string> {
  const addresses = [...mailboxesIn(fields, 'to'), ...mailboxesIn(fields, 'cc')]
  return new Set(
    addresses.flatMap((address) => {
      try {
        return [normalizeAddress(address)]
      } catch {
        return [] // not an address that mail could go to
      }
    }),
  )
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const [yes, no]: [T[], T[]] = [[], []]
  for (const item of items) (test(item) ? yes : no).push(item)
  return [yes, no]
}
