// The TXT record at `_smtp._tls.<domain>`, which says where reports on the domain go: RFC 8460 section 3.
import type { Resolver } from '../dns/resolver.ts'
import { PermError } from '../errors.ts'

/** Where somebody wants reports: an address, or an https URL. Two that are the same have the same text. */
export type Destination =
  | { readonly kind: 'mail'; readonly address: string }
  | { readonly kind: 'https'; readonly url: string }

export type TlsrptRecord =
  | { readonly status: 'found'; readonly destinations: readonly Destination[] }
  /** No reports are wanted there, or none that we could send. */
  | { readonly status: 'none'; readonly reason: string }

const START = 'v=TLSRPTv1;'
const FIELD = /^([A-Za-z0-9][\w.-]{0,31})=(.*)$/s
/** A domain that wants more than that does not want them for itself. */
const MAX_DESTINATIONS = 8
/** RFC 5321 section 4.1.2: a dot-string, and a domain of A-labels. */
const ADDRESS = /^[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}$/i

/** Throws TempErrors where nobody can say. */
export async function lookUpRecord(
  resolver: Pick<Resolver, 'resolve'>,
  domain: string,
  signal?: AbortSignal,
): Promise<TlsrptRecord> {
  try {
    const answer = await resolver.resolve(`_smtp._tls.${domain}`, 'TXT', signal)
    return parseRecord(answer.status === 'found' ? answer.records : [])
  } catch (error) {
    // A name that no DNS can hold.
    if (error instanceof PermError) return none(error.message)
    throw error
  }
}

/** All TXT records of the name, each as its strings. */
export function parseRecord(texts: readonly (readonly Uint8Array[])[]): TlsrptRecord {
  // Joined without a space; those that are not ours are dropped, and then there must be one: RFC 8460 section 3.
  const records = texts
    .map((strings) => Buffer.concat(strings).toString('latin1'))
    .filter((text) => text.startsWith(START))
  const [record] = records
  if (record === undefined) return none('no TLSRPT record')
  if (records.length > 1) return none(`${records.length} TLSRPT records, where one is wanted`)
  const fields = record
    .slice(START.length)
    .split(';')
    .map((field) => FIELD.exec(field.trim()) ?? [])
  // Unknown fields are ignored: RFC 8460 section 3.
  const rua = fields.find(([, name]) => name === 'rua')?.[2]
  if (rua === undefined) return none('the TLSRPT record has no rua')
  const found = new Map<string, Destination>()
  // `,` and `;` within a URI are percent-encoded: RFC 8460 section 3.
  for (const text of rua.split(',')) {
    const destination = parseDestination(text.trim())
    if (destination) found.set(formatDestination(destination), destination)
  }
  const destinations = [...found.values()].slice(0, MAX_DESTINATIONS)
  return destinations.length === 0
    ? none('the TLSRPT record has no rua that can be used')
    : { status: 'found', destinations }
}

/** undefined: of another scheme, or none of its own. */
function parseDestination(text: string): Destination | undefined {
  if (/^mailto:/i.test(text)) {
    const address = decoded(text.slice('mailto:'.length).split('?')[0] ?? '')
    if (address === undefined || !ADDRESS.test(address)) return undefined
    const at = address.lastIndexOf('@')
    return { kind: 'mail', address: address.slice(0, at) + address.slice(at).toLowerCase() }
  }
  if (!/^https:\/\//i.test(text) || !URL.canParse(text)) return undefined
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return undefined
  url.hash = ''
  return { kind: 'https', url: url.href }
}

export function formatDestination(destination: Destination): string {
  return destination.kind === 'mail' ? `mailto:${destination.address}` : destination.url
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function none(reason: string): TlsrptRecord {
  return { status: 'none', reason }
}
