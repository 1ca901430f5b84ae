// Whether a submission may carry our signature: its sender is known, and the From address is theirs.
import { mailboxesIn } from '../mail/address.ts'
import { fieldsNamed, type Field } from '../mail/header.ts'
import type { DomainTable } from './domain-table.ts'

/** How the client that submits a message is known. */
export type Submitter =
  | { readonly kind: 'user'; readonly name: string }
  /** Its address is in a network that the operator named: a host that has checked its own senders. */
  | { readonly kind: 'relay-network' }
  | { readonly kind: 'unknown' }

export type SenderVerdict =
  | {
      readonly status: 'owner'
      /** Who signs, normalised: the submitter's own address, or the From address. */
      readonly address: string
      readonly domain: string
    }
  | { readonly status: 'not-signed'; readonly reason: string }

export interface SenderOptions {
  readonly table: Pick<DomainTable, 'local' | 'isLocal' | 'senders'>
  readonly normalizeAddress: (address: string) => string
}

export function judgeSender(
  fields: readonly Field[],
  submitter: Submitter,
  options: SenderOptions,
): SenderVerdict {
  if (submitter.kind === 'unknown') return notSigned('the sender did not authenticate')
  const from = fieldsNamed(fields, 'from')
  const [author, ...others] = mailboxesIn(fields, 'from')
  // RFC 5322 section 3.6: one From field; several authors have several domains to answer for them.
  if (from.length !== 1) return notSigned(`${from.length} From fields`)
  if (author === undefined || others.length > 0) return notSigned('not one author in From')
  const address = normalized(author, options)
  if (address === undefined) return notSigned('the From address is none')
  const domain = domainOf(address)
  if (!options.table.isLocal(domain)) return notSigned('the From domain is not ours')
  if (submitter.kind === 'relay-network') return { status: 'owner', address, domain }
  if (!owns(submitter.name, address, options))
    return notSigned('the From address is not of this sender (hisho.yaml, senders)')
  const own = submitter.name.includes('@') ? normalized(submitter.name, options) : undefined
  return own !== undefined && domainOf(own) === domain
    ? { status: 'owner', address: own, domain }
    : { status: 'owner', address, domain }
}

function owns(user: string, address: string, options: SenderOptions): boolean {
  const { table } = options
  const given = table.senders.get(user) ?? []
  const all = `*@${domainOf(address)}`
  if (given.some((one) => one === all || normalized(one, options) === address)) return true
  if (user.includes('@')) return normalized(user, options) === address
  // A name without a domain is a mailbox of ours only where there is but one domain that it can mean.
  const [only, ...others] = table.local
  if (only === undefined || others.length > 0) return false
  return normalized(`${user}@${only}`, options) === address
}

function normalized(address: string, { normalizeAddress }: SenderOptions): string | undefined {
  try {
    return normalizeAddress(address)
  } catch {
    return undefined
  }
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1)
}

function notSigned(reason: string): SenderVerdict {
  return { status: 'not-signed', reason }
}
