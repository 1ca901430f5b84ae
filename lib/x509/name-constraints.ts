// For which names an authority may vouch: RFC 5280 section 4.2.1.10. DNS names are compared; where a constraint of another
// kind meets a name of its kind, the certificate is refused.
import { TAG, expectTag, malformed, readElement, readElements, type Element } from './der.ts'

export interface NameConstraints {
  readonly critical: boolean
  /** undefined: no constraint of that kind, so all are permitted. */
  readonly permittedDns: readonly string[] | undefined
  readonly excludedDns: readonly string[]
  /** Tags of GeneralName that are constrained in some other kind. */
  readonly otherKinds: ReadonlySet<number>
}

/** GeneralName, RFC 5280 section 4.2.1.6: context tags, as they stand in DER. */
export const NAME_TAG = { dns: 0x82, directory: 0xa4 } as const

/** What a certificate below such an authority is called. */
export interface Names {
  readonly dns: readonly string[]
  /** Tags of GeneralName of all its names, its subject included where it has one. */
  readonly kinds: ReadonlySet<number>
}

export function readNameConstraints(bytes: Uint8Array, critical: boolean): NameConstraints {
  const lists = readElements(expectTag(readElement(bytes), TAG.sequence).content)
  const bases = (tag: number): Element[] =>
    lists
      .filter((list) => list.tag === tag)
      .flatMap(({ content }) => readElements(content).map(baseOf))
  const permitted = bases(0xa0)
  const excluded = bases(0xa1)
  const permittedDns = permitted.filter(isDns).map(dnsText)
  return {
    critical,
    permittedDns: permittedDns.length > 0 ? permittedDns : undefined,
    excludedDns: excluded.filter(isDns).map(dnsText),
    otherKinds: new Set(
      [...permitted, ...excluded].map(({ tag }) => tag).filter((tag) => tag !== NAME_TAG.dns),
    ),
  }
}

export function permits(constraints: NameConstraints, { dns, kinds }: Names): boolean {
  const { critical, permittedDns, excludedDns, otherKinds } = constraints
  // RFC 5280 section 4.2.1.10: processed, or the certificate is rejected.
  if (critical && [...otherKinds].some((kind) => kinds.has(kind))) return false
  return dns.every((name) => {
    const base = name.replace(/^\*\./, '')
    // A wildcard may stand for a name that is excluded.
    const isExcluded = excludedDns.some(
      (constraint) => isWithin(base, constraint) || (base !== name && isWithin(constraint, base)),
    )
    return !isExcluded && (permittedDns?.some((constraint) => isWithin(base, constraint)) ?? true)
  })
}

export function dnsText({ content }: Element): string {
  return Buffer.from(content).toString('latin1').toLowerCase()
}

export function isDns({ tag }: Element): boolean {
  return tag === NAME_TAG.dns
}

/** GeneralSubtree; its minimum and maximum are not used: RFC 5280 section 4.2.1.10. */
function baseOf(subtree: Element): Element {
  const [base, ...more] = readElements(expectTag(subtree, TAG.sequence).content)
  if (base === undefined || more.length > 0) throw malformed('a name constraint that is none')
  return base
}

/** Any name that is made by adding labels on the left; a leading dot, as many write it, asks for one at least. */
function isWithin(name: string, constraint: string): boolean {
  if (constraint === '') return true
  if (constraint.startsWith('.')) return name.endsWith(constraint)
  return name === constraint || name.endsWith(`.${constraint}`)
}
