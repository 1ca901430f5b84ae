// For which names an authority may vouch: RFC 5280 section 4.2.1.10. Names of hosts, mail addresses and directories are
// compared; where a constraint of another kind meets a name of its kind, the certificate is refused.
import { TAG, expectTag, malformed, readElement, readElements, type Element } from './der.ts'

export interface NameConstraints {
  readonly critical: boolean
  /** undefined: no constraint of that kind, so all are permitted. */
  readonly permittedDns: readonly string[] | undefined
  readonly excludedDns: readonly string[]
  /** An address, a host, or with a leading dot whatever is below one. */
  readonly permittedMail: readonly string[] | undefined
  readonly excludedMail: readonly string[]
  /** The beginnings of distinguished names: relative ones, as DER, one after another. */
  readonly permittedDirectory: readonly Uint8Array[] | undefined
  /** Tags of GeneralName that are constrained in some other kind. */
  readonly otherKinds: ReadonlySet<number>
}

/** GeneralName, RFC 5280 section 4.2.1.6: context tags, as they stand in DER. */
export const NAME_TAG = { mail: 0x81, dns: 0x82, directory: 0xa4 } as const

/** What a certificate below such an authority is called. */
export interface Names {
  readonly dns: readonly string[]
  /** Those of the subject too. */
  readonly mail: readonly string[]
  /** The subject and others: as DER, the names' relative ones, one after another. */
  readonly directory: readonly Uint8Array[]
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
  return {
    critical,
    permittedDns: someOf(permitted.filter(isDns).map(dnsText)),
    excludedDns: excluded.filter(isDns).map(dnsText),
    permittedMail: someOf(permitted.filter(isMail).map(mailText)),
    excludedMail: excluded.filter(isMail).map(mailText),
    permittedDirectory: someOf(permitted.filter(isDirectory).map(directoryBytes)),
    otherKinds: new Set([
      ...permitted.filter((base) => !isDns(base) && !isMail(base) && !isDirectory(base)).map(tagOf),
      // Compared byte for byte, a directory's name in other letters would slip through.
      ...excluded.filter((base) => !isDns(base) && !isMail(base)).map(tagOf),
    ]),
  }
}

export function permits(constraints: NameConstraints, names: Names): boolean {
  const { critical, otherKinds, permittedDirectory } = constraints
  // RFC 5280 section 4.2.1.10: processed, or the certificate is rejected.
  if (critical && [...otherKinds].some((kind) => names.kinds.has(kind))) return false
  return (
    names.dns.every((name) => permitsDns(constraints, name)) &&
    names.mail.every((address) => permitsMail(constraints, address)) &&
    names.directory.every(
      (name) => permittedDirectory?.some((base) => startsWith(name, base)) ?? true,
    )
  )
}

function permitsDns({ permittedDns, excludedDns }: NameConstraints, name: string): boolean {
  const base = name.replace(/^\*\./, '')
  // A wildcard may stand for a name that is excluded.
  const isExcluded = excludedDns.some(
    (constraint) => isWithin(base, constraint) || (base !== name && isWithin(constraint, base)),
  )
  return !isExcluded && (permittedDns?.some((constraint) => isWithin(base, constraint)) ?? true)
}

function permitsMail({ permittedMail, excludedMail }: NameConstraints, address: string): boolean {
  const isOf = (constraint: string): boolean => {
    if (constraint === '') return true
    if (constraint.includes('@')) return address === constraint
    const host = address.slice(address.lastIndexOf('@') + 1)
    return constraint.startsWith('.') ? host.endsWith(constraint) : host === constraint
  }
  return !excludedMail.some(isOf) && (permittedMail?.some(isOf) ?? true)
}

export function dnsText({ content }: Element): string {
  return Buffer.from(content).toString('latin1').toLowerCase()
}

export function isDns({ tag }: Element): boolean {
  return tag === NAME_TAG.dns
}

/** In lower case, the local part too: nobody gives `Alice` and `alice` to two people. */
export function mailText({ content }: Element): string {
  return Buffer.from(content).toString('latin1').toLowerCase()
}

export function isMail({ tag }: Element): boolean {
  return tag === NAME_TAG.mail
}

export function isDirectory({ tag }: Element): boolean {
  return tag === NAME_TAG.directory
}

/** A GeneralName's directoryName, whose tag stands around the Name. */
export function directoryBytes({ content }: Element): Uint8Array {
  return expectTag(readElement(content), TAG.sequence).content
}

function tagOf({ tag }: Element): number {
  return tag
}

function someOf<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length > 0 ? list : undefined
}

/** Whole relative names, since each one is an element with its length. */
function startsWith(name: Uint8Array, base: Uint8Array): boolean {
  return Buffer.compare(name.subarray(0, base.length), base) === 0
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
