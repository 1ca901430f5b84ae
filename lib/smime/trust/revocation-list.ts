// Lists of revoked certificates: RFC 5280 section 5. Indirect ones, deltas, and those for some reasons only are refused.
import { PermError } from '../../errors.ts'
import { readExtensions } from '../../x509/certificate.ts'
import { TAG, expectTag, readElement, readElements, type Element } from '../../x509/der.ts'
import { readTime } from '../../x509/time.ts'
import { isSignedBy, readSignatureAlgorithm } from '../signature-algorithm.ts'
import type { Link } from './chain.ts'
import { uriIn } from './places.ts'
import { REASONS } from './revocation-reasons.ts'

export interface RevocationList {
  readonly thisUpdateMs: number
  readonly nextUpdateMs: number
  /** Serial numbers, hexadecimal, to the reason. */
  readonly revoked: ReadonlyMap<string, string>
  readonly scope: Scope
}

interface Scope {
  /** Where it says that it lies. undefined: it does not say. */
  readonly places: readonly string[] | undefined
  readonly only: 'users' | 'authorities' | undefined
}

const EXTENSION = { reason: '2.5.29.21', scope: '2.5.29.28', number: '2.5.29.20' } as const
const UNDERSTOOD: readonly string[] = [
  EXTENSION.scope,
  EXTENSION.number,
  '2.5.29.35', // authorityKeyIdentifier
]
const EVERYTHING: Scope = { places: undefined, only: undefined }

/** DER. PermError for what is none, is not signed by this issuer, or has something in it that is not known here. */
export function readRevocationList(der: Uint8Array, issuer: Link): RevocationList {
  const [body, algorithm, signature] = members(readElement(der))
  const fields = members(body)
  if (fields[0]?.tag === TAG.integer) fields.shift()
  const [innerAlgorithm, name, thisUpdate, nextUpdate, ...rest] = fields
  const entries = rest[0]?.tag === TAG.sequence ? rest.shift() : undefined
  if (!isSame(expectTag(name, TAG.sequence), issuer.certificate.subject))
    throw refused('is of another issuer')
  // RFC 5280 section 4.2.1.3.
  if (issuer.certificate.keyUsage?.has('cRLSign') === false)
    throw refused('is made with a key that is not for lists')
  if (!isSame(expectTag(innerAlgorithm, TAG.sequence), expectTag(algorithm, TAG.sequence).bytes))
    throw refused('names two algorithms')
  const bits = expectTag(signature, TAG.bitString).content.subarray(1)
  const isSigned = isSignedBy(
    issuer.x509.publicKey,
    readSignatureAlgorithm(algorithm),
    expectTag(body, TAG.sequence).bytes,
    bits,
  )
  if (!isSigned) throw refused('has a signature that does not fit')
  return {
    thisUpdateMs: readTime(thisUpdate),
    nextUpdateMs: readTime(nextUpdate),
    revoked: new Map(entries ? readElements(entries.content).map(readEntry) : []),
    scope: readScope(rest[0]),
  }
}

/** Why it says nothing of this certificate. undefined: it does. */
export function scopeProblem(
  { scope }: RevocationList,
  { certificate }: Link,
  place: string,
): string | undefined {
  if (scope.places && !scope.places.includes(place)) return 'the list is of another place'
  const kind = certificate.isAuthority ? 'authorities' : 'users'
  return scope.only === undefined || scope.only === kind ? undefined : 'the list is for others'
}

function readEntry(entry: Element): readonly [string, string] {
  const [serial, , extensions] = members(entry)
  const number = Buffer.from(expectTag(serial, TAG.integer).content).toString('hex')
  let reason: string = REASONS[0]
  for (const [id, { critical, value }] of extensions
    ? readExtensions(entryExtensions(extensions))
    : []) {
    if (id === EXTENSION.reason) {
      const { content } = expectTag(readElement(value), TAG.enumerated)
      reason = REASONS[content[0] ?? 0] ?? reason
    } else if (critical) throw refused(`has an entry with ${id}, which is not known here`)
  }
  return [number, reason]
}

/** In an entry they stand without a tag around them. */
function entryExtensions(extensions: Element): Element {
  return { tag: 0xa0, content: extensions.bytes, bytes: extensions.bytes }
}

function readScope(wrapper: Element | undefined): Scope {
  const extensions = readExtensions(wrapper)
  for (const [id, { critical }] of extensions)
    if (critical && !UNDERSTOOD.includes(id)) throw refused(`has ${id}, which is not known here`)
  const value = extensions.get(EXTENSION.scope)?.value
  if (value === undefined) return EVERYTHING
  // RFC 5280 section 5.2.5.
  const fields = members(readElement(value))
  const has = (tag: number): boolean => fields.some((field) => field.tag === tag)
  if (has(0x83) || has(0x84) || has(0x85)) throw refused('is for some reasons or other issuers')
  const point = fields.find(({ tag }) => tag === 0xa0)
  const full = point && readElement(point.content)
  return {
    places: full && uriIn(readElements(full.content)),
    only: has(0x81) ? 'users' : has(0x82) ? 'authorities' : undefined,
  }
}

function members(element: Element | undefined): Element[] {
  return readElements(expectTag(element, TAG.sequence).content)
}

function isSame({ bytes }: Element, other: Uint8Array): boolean {
  return Buffer.compare(bytes, other) === 0
}

function refused(what: string): PermError {
  return new PermError('crypto/unsupported', `the list of revoked certificates ${what}`)
}
