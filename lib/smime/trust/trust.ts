// Whether a certificate may be believed: a path to an anchor, its use, whose it is, and that nobody has revoked it.
// RFC 8550, RFC 8551 section 4.
import { TempError } from '../../errors.ts'
import type { Purpose } from '../../x509/path.ts'
import { addressesOf, domainAddress } from '../certificate-addresses.ts'
import { createLinks, findPath, readLink, type Link, type Links } from './chain.ts'
import type { Revocation, RevocationMode, RevocationStatus } from './revocation-mode.ts'

export interface TrustOptions {
  /** DER: authorities, or single certificates that are trusted as they stand. Without any nothing is trusted. */
  readonly anchors: readonly Uint8Array[]
  /** Where a domain's line says nothing. */
  readonly revocationMode: RevocationMode
  /** Asked unless the mode is `off`. */
  readonly revocation: Revocation
  /** Is told who has said what of a certificate's revocation, and where nobody could and it passed. */
  readonly log?: (level: 'info' | 'notice', message: string) => void
}

export type CertificateUse = 'signing' | 'encryption'

export interface ChainRequest {
  readonly use: CertificateUse
  readonly at: Date
  readonly revocation?: RevocationMode
}

/** Neither of the two: the operator says whose it is. */
export interface RecipientRequest {
  readonly at: Date
  readonly revocation?: RevocationMode
  /** Normalised. Its own certificate, or its domain's. */
  readonly address?: string
  /** A certificate of the whole domain: RFC 3183. */
  readonly domain?: string
}

export type ChainOutcome =
  | {
      readonly status: 'trusted'
      /** For logs: what could not be settled, and how fresh is what was. */
      readonly notes: readonly string[]
    }
  | { readonly status: 'untrusted'; readonly reason: string }
  /** Nobody can say now whether it is revoked, and the mode is `hard`. */
  | { readonly status: 'unsettled'; readonly reason: string }

export type RecipientOutcome = Exclude<ChainOutcome, { readonly status: 'unsettled' }>

export interface Trust {
  /** `others`: what may lead to an anchor, in any order. Never throws for what certificates say. */
  checkChain(
    certificate: Uint8Array,
    others: readonly Uint8Array[],
    request: ChainRequest,
  ): Promise<ChainOutcome>
  /** Whether mail may be encrypted to it. TempError smime/revocation where nobody can say now, and the mode is `hard`. */
  checkRecipient(
    certificate: Uint8Array,
    others: readonly Uint8Array[],
    request: RecipientRequest,
  ): Promise<RecipientOutcome>
}

const EMAIL_PROTECTION = '1.3.6.1.5.5.7.3.4'
/** RFC 8550 section 4.4.2. */
const PURPOSES: Readonly<Record<CertificateUse, Purpose>> = {
  signing: {
    name: 'signing mail',
    extendedKeyUsage: EMAIL_PROTECTION,
    keyUsages: ['digitalSignature', 'nonRepudiation'],
  },
  encryption: {
    name: 'encrypting mail',
    extendedKeyUsage: EMAIL_PROTECTION,
    keyUsages: ['keyEncipherment', 'keyAgreement'],
  },
}

/** PermError for an anchor that is no certificate. */
export function createTrust({ anchors, revocationMode, revocation, log }: TrustOptions): Trust {
  const trusted = anchors.map(readLink)
  const links = createLinks()

  const checkChain: Trust['checkChain'] = async (der, others, request) => {
    const [own] = links.tryRead(der)
    if (own === undefined) return untrusted('it is no certificate that can be read')
    const atMs = request.at.getTime()
    const found = findPath(own, others, trusted, {
      atMs,
      purpose: PURPOSES[request.use],
      links,
    })
    if (found.status === 'none') return untrusted(found.reason)
    const mode = request.revocation ?? revocationMode
    if (mode === 'off') return { status: 'trusted', notes: [] }
    const { isSettled, outcome } = await checkRevocation(found.path, revocation, mode)
    if (outcome.status === 'trusted' && outcome.notes.length > 0)
      log?.(isSettled ? 'info' : 'notice', `smime: ${nameOf(own)}: ${outcome.notes.join('; ')}`)
    return outcome
  }

  return {
    checkChain,
    async checkRecipient(der, others, request) {
      const wrong = nameProblem(der, request, links)
      if (wrong !== undefined) return untrusted(wrong)
      const outcome = await checkChain(der, others, { ...request, use: 'encryption' })
      if (outcome.status === 'unsettled') throw new TempError('smime/revocation', outcome.reason)
      return outcome
    },
  }
}

interface RevocationOutcome {
  readonly outcome: ChainOutcome
  /** Somebody has vouched for each certificate. */
  readonly isSettled: boolean
}

/** Of each in the path but the anchor, the one that it is about first. */
async function checkRevocation(
  path: readonly Link[],
  revocation: Revocation,
  mode: 'soft' | 'hard',
): Promise<RevocationOutcome> {
  const notes: string[] = []
  let isSettled = true
  for (const [depth, link] of path.entries()) {
    const issuer = path[depth + 1]
    if (issuer === undefined) break
    const place = depth === 0 ? 'its certificate' : `the issuer ${depth} above its certificate`
    const found = await revocation.check(link, issuer)
    const refused = refusalFor(found, place, mode)
    if (refused !== undefined) return { outcome: refused, isSettled: false }
    isSettled &&= found.status === 'good'
    notes.push(found.status === 'good' ? found.note : `${place} may be revoked: ${found.reason}`)
  }
  return { outcome: { status: 'trusted', notes }, isSettled }
}

function refusalFor(
  found: RevocationStatus,
  place: string,
  mode: 'soft' | 'hard',
): ChainOutcome | undefined {
  if (found.status === 'revoked') return untrusted(`${place} is revoked: ${found.reason}`)
  if (found.status === 'unasked' && mode === 'hard')
    return untrusted(`${place} does not say who could tell whether it is revoked`)
  if (found.status === 'unknown' && mode === 'hard')
    return { status: 'unsettled', reason: `${place} may be revoked: ${found.reason}` }
  return undefined
}

/** For logs. */
function nameOf({ certificate, x509 }: Link): string {
  return addressesOf(certificate)[0] ?? `certificate ${x509.fingerprint256.slice(0, 23)}`
}

function nameProblem(
  der: Uint8Array,
  { address, domain }: RecipientRequest,
  links: Links,
): string | undefined {
  const [own] = links.tryRead(der)
  if (own === undefined) return 'it is no certificate that can be read'
  const named = addressesOf(own.certificate)
  const wanted = address ?? domain
  if (wanted === undefined) return undefined
  const ofDomain = domainAddress(wanted.slice(wanted.lastIndexOf('@') + 1), 'confidentiality')
  const fits = named.includes(ofDomain) || (address !== undefined && named.includes(address))
  return fits ? undefined : `its certificate is not of ${wanted}`
}

function untrusted(reason: string): { readonly status: 'untrusted'; readonly reason: string } {
  return { status: 'untrusted', reason }
}
