// What one recipient's mail gets: in clear, as it is, sealed by the first scheme of their line that has a key for them, or kept
// until there is one. Exactly one scheme for each.
import { PermError, TempError } from '../errors.ts'
import type { Protection } from '../mail/protected-content.ts'
import type { Offer, Scheme } from '../mail/scheme.ts'
import type { DomainRule } from './domain-rule.ts'
import type { DomainTable } from './domain-table.ts'
import type { Exemption } from './exemption.ts'
import { withoutAnswer, withoutKey } from './no-key.ts'

export interface OutgoingOptions {
  readonly table: DomainTable
  readonly schemes: readonly Scheme[]
  readonly normalizeAddress: (address: string) => string
  readonly log: (level: 'info' | 'notice' | 'warn', message: string) => void
  /** Why the message must be encrypted, whatever the table says: its sender asks for it. */
  readonly raisedBy?: string
  /** What the message is that the table may exempt. */
  readonly exemptionOf?: (address: string) => Promise<Exemption | undefined>
  /** Whether it answers mail that came encrypted. TempError: nobody can say now. */
  readonly answersEncrypted?: () => Promise<boolean>
}

/** `reason` is for the log. */
export type Decision =
  | { readonly kind: 'clear'; readonly reason: string; readonly exempt?: Exemption }
  /** The message is ciphertext already; it goes as it is, and that satisfies `required`. */
  | { readonly kind: 'ciphertext'; readonly reason: string }
  | { readonly kind: 'seal'; readonly reason: string; readonly offer: Offer }
  /** There is no key, and the table says that it waits for one. */
  | { readonly kind: 'hold'; readonly reason: string }

/** Recipients of one domain and one rule. */
export interface Party<M extends Member> {
  readonly domain: string
  readonly rule: DomainRule
  readonly members: readonly M[]
}

export interface Member {
  /** As in the envelope. */
  readonly address: string
  /** Normalised; undefined for what no key can be of. */
  readonly normal: string | undefined
}

/** Members who get the same. */
export interface Share<M extends Member> {
  readonly members: readonly M[]
  readonly decision: Decision
}

/** What mail to a domain as such, or to an address, gets. PermError or TempError where it may not go. */
export async function decide(
  target: string,
  already: Protection | undefined,
  options: OutgoingOptions,
): Promise<Decision> {
  const isAddress = target.includes('@')
  const domain = target.slice(target.lastIndexOf('@') + 1)
  const rule = isAddress ? options.table.ruleForAddress(target) : options.table.ruleFor(domain)
  const member = { address: target, normal: isAddress ? target : undefined }
  const [share] = await decideFor({ domain, rule, members: [member] }, already, options)
  if (!share) throw new Error('nothing was decided')
  return share.decision
}

/** All members, each once. PermError protection/no-key, or TempError, if one of them may get it neither sealed nor in clear. */
export async function decideFor<M extends Member>(
  party: Party<M>,
  already: Protection | undefined,
  options: OutgoingOptions,
): Promise<readonly Share<M>[]> {
  const { domain, members } = party
  const all = (decision: Decision): Share<M>[] => [{ members, decision }]
  if (options.table.isLocal(domain)) return all({ kind: 'clear', reason: 'local domain' })
  const rule = options.raisedBy === undefined ? party.rule : raised(party.rule)
  if (rule.encrypt === 'never') return all({ kind: 'clear', reason: `${rule.pattern}: never` })
  if (already) return all({ kind: 'ciphertext', reason: `encrypted already (${already})` })
  const exempt = await exemptShares({ ...party, rule }, options)
  const free = new Set(exempt.flatMap((share) => share.members))
  const owed = members.filter((member) => !free.has(member))
  if (owed.length === 0) return exempt
  return [...exempt, ...(await sealedShares({ domain, rule, members: owed }, options))]
}

/** The sender may ask for more than the table, never for less: content.md C18. */
function raised(rule: DomainRule): DomainRule {
  const onNoKey = rule.onNoKey === 'hold' ? 'hold' : 'reject'
  return { ...rule, encrypt: 'required', onNoKey, onLookupFailure: 'defer', exempt: [] }
}

async function exemptShares<M extends Member>(
  { rule, members }: Party<M>,
  { exemptionOf }: OutgoingOptions,
): Promise<Share<M>[]> {
  const shares: Share<M>[] = []
  for (const member of rule.exempt.length === 0 ? [] : members) {
    const exempt = await exemptionOf?.(member.address)
    if (!exempt || !rule.exempt.includes(exempt)) continue
    const reason = `${exempt}: exempt (${rule.pattern})`
    shares.push({ members: [member], decision: { kind: 'clear', reason, exempt } })
  }
  return shares
}

async function sealedShares<M extends Member>(
  party: Party<M>,
  options: OutgoingOptions,
): Promise<Share<M>[]> {
  const shares: Share<M>[] = []
  let rest = party.members
  let failure: unknown
  for (const name of party.rule.schemes) {
    const scheme = options.schemes.find((known) => known.name === name)
    if (!scheme || rest.length === 0) continue
    const found = await sharesOf(scheme, { ...party, members: rest }, options)
    shares.push(...found.shares)
    const sealed = new Set(found.shares.flatMap(({ members }) => members))
    rest = rest.filter((member) => !sealed.has(member))
    // Of a key that cannot be used another scheme may have a better one; while nobody can say, it is waited for.
    if (found.failure !== undefined && !isUnusable(found.failure)) {
      failure = found.failure
      break
    }
    failure ??= found.failure
  }
  if (rest.length === 0) return shares
  const left = { ...party, members: rest }
  const decision = await (failure === undefined
    ? withoutKey(left, options)
    : withoutAnswer(left, failure, options))
  return [...shares, { members: rest, decision }]
}

interface Found<M extends Member> {
  readonly shares: readonly Share<M>[]
  /** Why it has nothing for the others. undefined: they have no key. */
  readonly failure?: unknown
}

/** Asked again for those that its first offer does not reach. */
async function sharesOf<M extends Member>(
  scheme: Scheme,
  party: Party<M>,
  options: OutgoingOptions,
): Promise<Found<M>> {
  const shares: Share<M>[] = []
  let failure: unknown
  let asked = party.members
  try {
    while (asked.length > 0) {
      const offer = await askFor(scheme, { ...party, members: asked })
      const reached = new Set(offer ? reachedBy(offer, asked) : [])
      if (!offer || reached.size === 0) break
      const untrusted = untrustedError(offer, party, options)
      failure ??= untrusted
      if (!untrusted) {
        const decision: Decision = { kind: 'seal', reason: offer.description, offer }
        shares.push({ members: [...reached], decision })
      }
      asked = asked.filter((member) => !reached.has(member))
    }
  } catch (error) {
    failure = error
  }
  return { shares, failure }
}

function isUnusable(failure: unknown): boolean {
  return (
    failure instanceof PermError ||
    (failure instanceof TempError && failure.code === 'keys/untrusted')
  )
}

function askFor(scheme: Scheme, party: Party<Member>): Promise<Offer | undefined> {
  const { domain, rule, members } = party
  const addresses = [...new Set(members.flatMap(({ normal }) => normal ?? []))]
  const spellings = new Map(
    members.flatMap(({ address, normal }) =>
      normal === undefined || normal === address ? [] : [[normal, address]],
    ),
  )
  const { paramsTrust: trust, settings } = rule
  return scheme.offer({ domain, addresses, spellings, trust, settings })
}

function reachedBy<M extends Member>({ addresses }: Offer, asked: readonly M[]): M[] {
  if (!addresses) return [...asked]
  // Who was asked for the domain as such takes what is offered to that.
  const isForDomain = asked.every(({ normal }) => normal === undefined)
  return asked.filter(({ normal }) =>
    normal === undefined ? isForDomain : addresses.includes(normal),
  )
}

/** A key that may not be theirs is good enough only where none at all would do. */
function untrustedError(
  offer: Offer,
  { domain, rule }: Party<Member>,
  { log }: OutgoingOptions,
): TempError | undefined {
  if (offer.untrusted === undefined) return undefined
  log('warn', `${domain}: ${offer.description}: ${offer.untrusted}`)
  if (rule.encrypt !== 'required') return undefined
  return new TempError('keys/untrusted', `${domain}: ${offer.untrusted} (${rule.pattern})`, {
    peerText: `the key of ${domain} has changed and is not confirmed`,
  })
}
