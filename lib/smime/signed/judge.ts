// Whether a signature is the author's: RFC 8550 section 3, RFC 3183 section 3.1.1 for that of their domain. In the words of
// RFC 8601 and RFC 7281.
import { HishoError } from '../../errors.ts'
import { mailboxesIn } from '../../mail/address.ts'
import { fieldsNamed, type Field } from '../../mail/header.ts'
import type { ContentSignature } from '../../mail/scheme.ts'
import { domainAddress } from '../certificate-addresses.ts'
import type { SignedOutcome } from './verify.ts'

/** `fields`: those that were signed, or whose author is claimed. Sender and Reply-To do not help. */
export function judgeSigner(
  outcome: SignedOutcome,
  fields: readonly Field[],
  normalizeAddress: (address: string) => string,
): ContentSignature {
  return { method: 'smime', result: resultOf(outcome, fields, normalizeAddress) }
}

function resultOf(
  outcome: SignedOutcome,
  fields: readonly Field[],
  normalizeAddress: (address: string) => string,
): ContentSignature['result'] {
  if (outcome.status === 'bad') return { status: 'fail', reason: outcome.reason }
  const named = outcome.signers.flatMap(({ addresses }) => addresses)
  const names = namesOf(named[0])
  if (outcome.status === 'unsettled')
    return { status: 'temperror', reason: outcome.reason, ...names }
  if (outcome.status === 'untrusted') return { status: 'neutral', reason: outcome.reason, ...names }
  const author = authorIn(fields, normalizeAddress)
  if (author === undefined)
    return { status: 'neutral', reason: 'there is not one author in From', ...names }
  const domain = author.slice(author.lastIndexOf('@') + 1)
  const identity = [author, domainAddress(domain, 'signing')].find((one) => named.includes(one))
  return identity === undefined
    ? { status: 'neutral', reason: 'the signer is not the author in From', ...names }
    : { status: 'pass', domain, identity }
}

/** RFC 5322 section 3.6.2: one field; and one mailbox, since a reader is shown one. */
function authorIn(
  fields: readonly Field[],
  normalizeAddress: (address: string) => string,
): string | undefined {
  const [address, ...more] = mailboxesIn(fields, 'from')
  const isOne = fieldsNamed(fields, 'from').length === 1 && more.length === 0
  if (!isOne || address === undefined) return undefined
  try {
    return normalizeAddress(address)
  } catch (error) {
    if (error instanceof HishoError) return undefined
    throw error
  }
}

function namesOf(identity: string | undefined): { domain?: string; identity?: string } {
  if (identity === undefined) return {}
  return { identity, domain: identity.slice(identity.lastIndexOf('@') + 1) }
}
