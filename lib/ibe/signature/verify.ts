// Judging the signatures of a message, as RFC 6376 section 6.1 does. Nothing that a message says throws.
import { nowSeconds, type Clock } from '../../clock.ts'
import { HishoError, PermError, TempError } from '../../errors.ts'
import { mailboxesIn } from '../../mail/address.ts'
import { relaxedBodyHash } from '../../mail/canonical.ts'
import { fieldsNamed, type Field } from '../../mail/header.ts'
import type { Message } from '../../mail/message.ts'
import type { TrustSource } from '../../mail/scheme.ts'
import type { SignatureNames, SignatureResult } from '../../mail/signature.ts'
import { formatIdentity, normalizeAddress } from '../identity.ts'
import type { Parameters } from '../parameters.ts'
import { periodAt } from '../period.ts'
import type { SignatureEngine } from './engine.ts'
import { parseSignatureField, SIGNATURE_FIELD, type SignatureTags } from './field.ts'
import { headerDigest, unsignedName } from './signed-fields.ts'

/** RFC 6376 section 6.1: a verifier may limit how many it looks at. */
const SIGNATURES_MAX = 4
const CLOCK_SKEW_SECONDS = 600

/** What a domain publishes for signatures. */
export interface SignatureDirectory {
  /**
   * The parameters of this serial; undefined: it publishes none. TempError: nobody can say now. PermError ibe/parameters:
   * what it publishes cannot be used.
   */
  signatureParameters(
    domain: string,
    n: number,
    trust: readonly TrustSource[],
  ): Promise<Parameters<'cc'> | undefined>
  /** The serials under which mail may be signed now. TempError: nobody can say now. */
  publishedSerials(domain: string, trust: readonly TrustSource[]): Promise<readonly number[]>
}

export interface VerificationOptions {
  readonly engine: Pick<SignatureEngine, 'verify'>
  readonly directory: Pick<SignatureDirectory, 'signatureParameters'>
  readonly clock: Clock
  readonly log: (level: 'warn', message: string) => void
}

type Judgement = Exclude<SignatureResult, { status: 'none' }>

/** The body is read to its end, but for a message without a signature. */
export async function verifyMessage(
  message: Message,
  trust: readonly TrustSource[],
  options: VerificationOptions,
): Promise<SignatureResult> {
  const found = fieldsNamed(message.fields, SIGNATURE_FIELD).slice(0, SIGNATURES_MAX)
  if (found.length === 0) return { status: 'none' }
  const bodyHash = await relaxedBodyHash(message.body)
  const author = authorDomain(message.fields)
  if (author === undefined)
    return { status: 'permerror', reason: 'From is not one field with one mailbox' }
  const facts = { fields: message.fields, bodyHash, author, trust }
  const judged = await Promise.all(found.map((field) => judge(field, facts, options)))
  return judged.toSorted((one, other) => rank(one, author) - rank(other, author))[0]!
}

interface Facts {
  readonly fields: readonly Field[]
  readonly bodyHash: Uint8Array
  /** The domain of From. */
  readonly author: string
  readonly trust: readonly TrustSource[]
}

/** Of several results the best of the author's own domain counts. */
function rank(judgement: Judgement, author: string): number {
  const order: readonly Judgement['status'][] = [
    'pass',
    'temperror',
    'neutral',
    'fail',
    'permerror',
  ]
  const own = judgement.domain === author
  return order.indexOf(judgement.status) + (own ? 0 : order.length)
}

/** Undefined unless there is one From field with one mailbox: readers differ in which of several they show. */
function authorDomain(fields: readonly Field[]): string | undefined {
  const mailboxes = mailboxesIn(fields, 'from')
  if (fieldsNamed(fields, 'from').length !== 1 || mailboxes.length !== 1) return undefined
  try {
    const address = normalizeAddress(mailboxes[0]!)
    return address.slice(address.lastIndexOf('@') + 1)
  } catch {
    return undefined
  }
}

async function judge(field: Field, facts: Facts, options: VerificationOptions): Promise<Judgement> {
  let tags: SignatureTags
  try {
    tags = parseSignatureField(field)
  } catch (error) {
    if (!(error instanceof PermError)) throw error
    return { status: 'permerror', reason: error.message }
  }
  const names = { domain: tags.domain, identity: tags.address }
  // Not looked into: it would not count, and its domain is anybody's choice.
  if (tags.domain !== facts.author)
    return { status: 'neutral', reason: 'signed by another domain', ...names }
  const flaw = flawOf(tags, facts, nowSeconds(options.clock))
  if (flaw !== undefined) return { status: 'fail', reason: flaw, ...names }
  try {
    return await judgeWithKey(field, tags, names, facts, options)
  } catch (error) {
    if (!(error instanceof HishoError)) throw error
    options.log('warn', `signature of ${tags.domain}: ${error.code}: ${error.message}`)
    const status = error instanceof TempError ? 'temperror' : 'permerror'
    return { status, reason: `no key can be had: ${error.code}`, ...names }
  }
}

/** What can be said without a key. */
function flawOf(tags: SignatureTags, facts: Facts, now: number): string | undefined {
  if (tags.timeSeconds > now + CLOCK_SKEW_SECONDS) return 'signed in the future'
  if (tags.expirySeconds < now - CLOCK_SKEW_SECONDS) return 'expired'
  if (Buffer.compare(tags.bodyHash, facts.bodyHash) !== 0) return 'body changed'
  return undefined
}

async function judgeWithKey(
  field: Field,
  tags: SignatureTags,
  names: SignatureNames,
  { fields, trust }: Facts,
  { engine, directory }: VerificationOptions,
): Promise<Judgement> {
  const fail = (reason: string): Judgement => ({ status: 'fail', reason, ...names })
  const parameters = await directory.signatureParameters(tags.domain, tags.n, trust)
  if (parameters === undefined) return { status: 'permerror', reason: 'no such key', ...names }
  if ((parameters.notAfterSeconds ?? Infinity) < tags.timeSeconds)
    return fail('signed after the end of its key')
  if (tags.period !== periodAt(parameters.period, tags.timeSeconds * 1000))
    return fail('p is not the period of t')
  const good = await engine.verify({
    publicKey: parameters.publicKey,
    identity: formatIdentity(tags.address, tags.period),
    digest: headerDigest(fields, tags.signedFields, field),
    signature: tags.signature,
  })
  if (!good) return fail('signature does not verify')
  const unsigned = unsignedName(fields, tags.signedFields)
  if (unsigned !== undefined)
    return { status: 'neutral', reason: `${unsigned} is not signed`, ...names }
  return { status: 'pass', ...names }
}
