// Paths from a server's certificate to what a DANE-TA record names: RFC 7671 section 5.2, RFC 7672 section 3.1.2. Servers send
// certificates in any order and too many of them; neither is held against them, and no more than a little work is done.
import { X509Certificate, createPublicKey, type KeyObject } from 'node:crypto'
import type { TlsaRecord } from '../dns/records.ts'
import { parseCertificate, type Certificate } from '../x509/certificate.ts'
import { matchesRecord } from './association.ts'
import { MATCHING, SELECTOR } from './usable.ts'

/** Of a chain, and of a set of records. */
const MAX_CERTIFICATES = 10
const MAX_STEPS = 200

export interface AnchoredPath {
  /** The server's own first. Where the anchor is a certificate, it is the last. */
  readonly path: readonly Certificate[]
  readonly record: TlsaRecord
}

interface Link {
  readonly der: Uint8Array
  readonly x509: X509Certificate
  readonly certificate: Certificate
  /** Records that name it. */
  readonly records: readonly TlsaRecord[]
}

/** One after another, as many as there are within reason. PermError where the server's own certificate is none. */
export function* anchoredPaths(
  chain: readonly Uint8Array[],
  records: readonly TlsaRecord[],
): Generator<AnchoredPath> {
  const [own, ...others] = chain.slice(0, MAX_CERTIFICATES)
  if (own === undefined) return
  const whole = records.filter(
    ({ selector, matchingType }) =>
      matchingType === MATCHING.full && selector === SELECTOR.certificate,
  )
  // RFC 7672 section 3.1.2: what the record has in full need not be sent.
  const published = whole.slice(0, MAX_CERTIFICATES).map(({ certificate }) => certificate)
  const pool = distinct([...others, ...published], own).flatMap((der) => tryLink(der, records))
  const keys = records.slice(0, MAX_CERTIFICATES).flatMap(bareKey)
  const isIssuedBy = createIssuance()
  let steps = 0

  function* extend(path: readonly Link[]): Generator<AnchoredPath> {
    const top = path.at(-1)
    steps += 1
    if (top === undefined || steps > MAX_STEPS) return
    const certificates = path.map(({ certificate }) => certificate)
    // The server's own certificate is not its own issuer: RFC 7671 section 5.2 asks for a chain.
    if (path.length > 1) for (const record of top.records) yield { path: certificates, record }
    for (const { key, record } of keys)
      if (isSignedWith(top.x509, key)) yield { path: certificates, record }
    for (const issuer of pool)
      if (!path.includes(issuer) && isIssuedBy(top, issuer)) yield* extend([...path, issuer])
  }

  yield* extend([link(own, [])])
}

/** Whether a record names a certificate that the server sent, its own apart. */
export function sendsAnchor(chain: readonly Uint8Array[], records: readonly TlsaRecord[]): boolean {
  const [, ...others] = chain.slice(0, MAX_CERTIFICATES)
  return others.some((der) => tryLink(der, records).some((one) => one.records.length > 0))
}

function link(der: Uint8Array, records: readonly TlsaRecord[]): Link {
  return {
    der,
    x509: new X509Certificate(der),
    certificate: parseCertificate(der),
    records: records.filter((record) => matchesRecord(record, der)),
  }
}

/** What is no certificate is padding. */
function tryLink(der: Uint8Array, records: readonly TlsaRecord[]): Link[] {
  try {
    return [link(der, records)]
  } catch {
    return []
  }
}

function distinct(ders: readonly Uint8Array[], own: Uint8Array): readonly Uint8Array[] {
  const seen = new Set([Buffer.from(own).toString('latin1')])
  return ders.filter((der) => {
    const text = Buffer.from(der).toString('latin1')
    return !seen.has(text) && seen.add(text)
  })
}

/** `2 1 0`: a key, of which only signatures are known. */
function bareKey(record: TlsaRecord): { readonly key: KeyObject; readonly record: TlsaRecord }[] {
  const { selector, matchingType, certificate } = record
  if (selector !== SELECTOR.publicKey || matchingType !== MATCHING.full) return []
  const key = createPublicKey({ key: Buffer.from(certificate), format: 'der', type: 'spki' })
  return [{ key, record }]
}

/** Each pair is tried once: signatures are what costs. */
function createIssuance(): (link: Link, issuer: Link) => boolean {
  const known = new Map<Link, Map<Link, boolean>>()
  return (below, issuer) => {
    const ofBelow = known.get(below) ?? new Map<Link, boolean>()
    known.set(below, ofBelow)
    const before = ofBelow.get(issuer)
    if (before !== undefined) return before
    const isIssued = below.x509.checkIssued(issuer.x509) && isSignedByOwner(below, issuer)
    ofBelow.set(issuer, isIssued)
    return isIssued
  }
}

function isSignedByOwner(below: Link, issuer: Link): boolean {
  try {
    return isSignedWith(below.x509, issuer.x509.publicKey)
  } catch {
    return false // a key of a kind that is unknown here
  }
}

function isSignedWith(x509: X509Certificate, key: KeyObject): boolean {
  try {
    return x509.verify(key)
  } catch {
    return false // a key that cannot have made a signature of this kind
  }
}
