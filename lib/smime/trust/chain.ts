// Paths from a certificate to an authority that the operator trusts: RFC 5280 section 6, RFC 8550 section 4. Node's own
// authorities, and those of the system, are asked nowhere.
import { X509Certificate } from 'node:crypto'
import { parseCertificate, type Certificate } from '../../x509/certificate.ts'
import { readElement } from '../../x509/der.ts'
import { pathProblem, type Purpose } from '../../x509/path.ts'
import { keyProblem } from '../key-strength.ts'
import { remembered } from '../remembered.ts'
import { readSignatureAlgorithm } from '../signature-algorithm.ts'

const MAX_LENGTH = 10
/** Of what came with a message; and paths that are tried. */
const MAX_CERTIFICATES = 200
const MAX_STEPS = 200

export interface Link {
  readonly der: Uint8Array
  readonly x509: X509Certificate
  readonly certificate: Certificate
}

export type PathOutcome =
  | {
      readonly status: 'found'
      /** The certificate itself first, the anchor last. */
      readonly path: readonly Link[]
    }
  | { readonly status: 'none'; readonly reason: string }

export interface PathRequest {
  readonly atMs: number
  readonly purpose: Purpose
  readonly links: Links
}

/** PermError for what is no certificate. */
export function readLink(der: Uint8Array): Link {
  return { der, certificate: parseCertificate(der), x509: new X509Certificate(der) }
}

/** What certificates say whatever the time is: that of the same people is asked for with each of their mails. */
export interface Links {
  /** None: it cannot be read. */
  tryRead(der: Uint8Array): readonly Link[]
  isIssuedBy(below: Link, issuer: Link): boolean
}

const MOST_REMEMBERED = 512

export function createLinks(): Links {
  const read = remembered((der) => readLink(Uint8Array.from(der)), MOST_REMEMBERED)
  const issued = new WeakMap<Link, WeakMap<Link, boolean>>()
  return {
    tryRead(der) {
      try {
        return [read(der)]
      } catch {
        return []
      }
    },
    isIssuedBy(below, issuer) {
      const known = issued.get(below) ?? new WeakMap<Link, boolean>()
      issued.set(below, known)
      const answer = known.get(issuer) ?? isIssuedBy(below, issuer)
      known.set(issuer, answer)
      return answer
    },
  }
}

/** The first path that holds; else what is wrong with the first one that leads to an anchor. */
export function findPath(
  own: Link,
  others: readonly Uint8Array[],
  anchors: readonly Link[],
  { atMs, purpose, links }: PathRequest,
): PathOutcome {
  let reason = 'no trusted authority vouches for it'
  let isFirst = true
  for (const path of anchoredPaths(
    own,
    others.slice(0, MAX_CERTIFICATES).flatMap((der) => links.tryRead(der)),
    anchors,
    links,
  )) {
    const wrong = problemOf(path, { atMs, purpose })
    if (wrong === undefined) return { status: 'found', path }
    if (isFirst) reason = wrong
    isFirst = false
  }
  return { status: 'none', reason }
}

function* anchoredPaths(
  own: Link,
  others: readonly Link[],
  anchors: readonly Link[],
  links: Links,
): Generator<readonly Link[]> {
  let steps = 0
  const isAnchor = (link: Link): boolean => anchors.some(({ der }) => isSame(der, link.der))
  function* extend(path: readonly Link[]): Generator<readonly Link[]> {
    const top = path.at(-1)
    steps += 1
    if (top === undefined || steps > MAX_STEPS || path.length > MAX_LENGTH) return
    // A certificate that the operator has put down needs nobody who vouches for it.
    if (isAnchor(top)) yield path
    for (const issuer of [...anchors, ...others]) {
      const isKnown = path.some(({ der }) => isSame(der, issuer.der))
      if (!isKnown && links.isIssuedBy(top, issuer)) yield* extend([...path, issuer])
    }
  }
  yield* extend([own])
}

/** Names first: signatures are what costs. A key out of all measure is not used at all. */
function isIssuedBy(below: Link, issuer: Link): boolean {
  if (!isSame(below.certificate.issuer, issuer.certificate.subject)) return false
  try {
    const key = issuer.x509.publicKey
    return (
      keyProblem(key) === undefined && below.x509.checkIssued(issuer.x509) && below.x509.verify(key)
    )
  } catch {
    return false // a key of a kind that is unknown here, or one that cannot have made this signature
  }
}

function problemOf(
  path: readonly Link[],
  { atMs, purpose }: Pick<PathRequest, 'atMs' | 'purpose'>,
): string | undefined {
  for (const [depth, { x509, certificate }] of path.entries()) {
    const isAnchor = depth === path.length - 1
    const wrong =
      keyProblem(x509.publicKey) ?? (isAnchor ? undefined : signatureProblem(certificate))
    if (wrong !== undefined) return depth === 0 ? `its certificate ${wrong}` : `an issuer ${wrong}`
  }
  const certificates = path.map(({ certificate }) => understood(certificate))
  return pathProblem(certificates, { nowMs: atMs, commonNames: [], purpose })?.reason
}

function signatureProblem({ signatureAlgorithmDer }: Certificate): string | undefined {
  try {
    readSignatureAlgorithm(readElement(signatureAlgorithmDer))
    return undefined
  } catch {
    return 'has a signature that anybody could make'
  }
}

/** Critical or not, where a list of revoked ones lies is understood here: RFC 5280 section 4.2.1.13. */
function understood(certificate: Certificate): Certificate {
  const unknownCritical = certificate.unknownCritical.filter((id) => id !== '2.5.29.31')
  return { ...certificate, unknownCritical }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}
