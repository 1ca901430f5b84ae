// Who gets what: for each recipient the protection that is owed, and groups of recipients that share a copy.
import { mailboxesIn } from '../mail/address.ts'
import type { Field } from '../mail/header.ts'
import type { Protection } from '../mail/protected-content.ts'
import {
  decideFor,
  type Decision,
  type Member,
  type OutgoingOptions,
  type Party,
  type Share,
} from './decision.ts'
import type { DomainRule } from './domain-rule.ts'

/** A recipient as the caller knows it; `address` is `local@domain`. */
export interface Addressee {
  readonly address: string
  readonly domain: string
}

export interface OutgoingGroup<R extends Addressee> {
  readonly recipients: readonly R[]
  readonly decision: Decision
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
  const parties = partiesOf(recipients, options)
  const shares = (
    await Promise.all(parties.map((party) => decideFor(party, already, options)))
  ).flat()
  return [...unsealedGroups(shares), ...sealedGroups(shares, fields, options)]
}

interface Receiver<R> extends Member {
  readonly recipient: R
}

/** By domain, and by the line of the table that holds for them. */
function partiesOf<R extends Addressee>(
  recipients: readonly R[],
  options: OutgoingOptions,
): Party<Receiver<R>>[] {
  const parties = new Map<string, Map<DomainRule, Receiver<R>[]>>()
  for (const recipient of recipients) {
    const domain = recipient.domain.toLowerCase()
    const { address } = recipient
    const member = { recipient, address, normal: normalOr(address, options) }
    const rule = options.table.ruleForAddress(member.normal ?? address)
    const ofDomain = parties.get(domain) ?? new Map<DomainRule, Receiver<R>[]>()
    parties.set(domain, ofDomain)
    ofDomain.set(rule, [...(ofDomain.get(rule) ?? []), member])
  }
  return [...parties].flatMap(([domain, ofDomain]) =>
    [...ofDomain].map(([rule, members]) => ({ domain, rule, members })),
  )
}

/** One for each way of going unsealed: whoever is in it sees no more than the envelope of the sender. */
function unsealedGroups<R extends Addressee>(
  shares: readonly Share<Receiver<R>>[],
): OutgoingGroup<R>[] {
  const groups = new Map<string, Share<Receiver<R>>[]>()
  for (const share of shares) {
    const { decision } = share
    if (decision.kind === 'seal') continue
    const exempt = decision.kind === 'clear' ? (decision.exempt ?? '') : ''
    const key = `${decision.kind} ${exempt}`
    groups.set(key, [...(groups.get(key) ?? []), share])
  }
  return [...groups.values()].flatMap((same) => {
    const [first] = same
    if (!first) return []
    const reason = [...new Set(same.map(({ decision }) => decision.reason))].join('; ')
    return { recipients: same.flatMap(recipientsOf), decision: { ...first.decision, reason } }
  })
}

function sealedGroups<R extends Addressee>(
  shares: readonly Share<Receiver<R>>[],
  fields: readonly Field[],
  options: OutgoingOptions,
): OutgoingGroup<R>[] {
  return shares.flatMap((share) => {
    const { members, decision } = share
    if (decision.kind !== 'seal') return []
    // Alone either way: To and Cc need not be read.
    if (members.length === 1) return [{ recipients: recipientsOf(share), decision }]
    const alone = (member: Receiver<R>) => ({ recipients: [member.recipient], decision })
    if (decision.offer.oneRecipient) return members.map(alone)
    const visible = visibleAddresses(fields, options)
    const [shown, hidden] = partition(
      members,
      ({ normal }) => normal !== undefined && visible.has(normal),
    )
    const together = { recipients: shown.map(({ recipient }) => recipient), decision }
    return [...(shown.length > 0 ? [together] : []), ...hidden.map(alone)]
  })
}

function recipientsOf<R extends Addressee>({ members }: Share<Receiver<R>>): R[] {
  return members.map(({ recipient }) => recipient)
}

function normalOr(
  address: string,
  { normalizeAddress }: Pick<OutgoingOptions, 'normalizeAddress'>,
): string | undefined {
  try {
    return normalizeAddress(address)
  } catch {
    return undefined // no address that a key could be of
  }
}

function visibleAddresses(fields: readonly Field[], options: OutgoingOptions): Set<string> {
  const addresses = [...mailboxesIn(fields, 'to'), ...mailboxesIn(fields, 'cc')]
  return new Set(addresses.flatMap((address) => normalOr(address, options) ?? []))
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const [yes, no]: [T[], T[]] = [[], []]
  for (const item of items) (test(item) ? yes : no).push(item)
  return [yes, no]
}
