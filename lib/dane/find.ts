// What DNS says of a host: addresses first, then aliases, then TLSA records. RFC 7672 section 2.2.
import { isIP } from 'node:net'
import type { Answer, RecordType } from '../dns/records.ts'
import type { Resolver } from '../dns/resolver.ts'
import { HishoError } from '../errors.ts'
import type { DaneOutcome, HostFinder, HostOutcome } from './outcome.ts'
import { usableRecords } from './usable.ts'

export interface HostFinderOptions {
  readonly resolver: Pick<Resolver, 'resolve'>
  /** Whether DANE is: the resolver validates, and may be believed (RFC 7672 section 2.1.3). Nothing but addresses is asked otherwise. */
  readonly isOn: (signal?: AbortSignal) => Promise<boolean>
}

type Asked<T extends RecordType> =
  | { readonly status: 'answered'; readonly answer: Answer<T> }
  | { readonly status: 'failed'; readonly reason: string }

interface Addresses {
  readonly list: readonly string[]
  /** The TLSA base domains in the order in which they are tried; `none` and `failed` end the search. */
  readonly bases: readonly string[] | DaneOutcome
}

export function createHostFinder({ resolver, isOn }: HostFinderOptions): HostFinder {
  const ask = async <T extends RecordType>(
    name: string,
    type: T,
    signal: AbortSignal | undefined,
  ): Promise<Asked<T>> => {
    try {
      return { status: 'answered', answer: await resolver.resolve(name, type, signal) }
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof HishoError) return { status: 'failed', reason: error.message }
      throw error
    }
  }

  /** A string says why nobody knows; it is never taken for "off". */
  const isOnOrUnknown = async (signal?: AbortSignal): Promise<boolean | string> => {
    try {
      return await isOn(signal)
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof HishoError) return error.message
      throw error
    }
  }

  const lookUp = async (
    host: string,
    on: boolean,
    signal?: AbortSignal,
  ): Promise<HostOutcome | Addresses> => {
    const asked = await Promise.all([ask(host, 'A', signal), ask(host, 'AAAA', signal)])
    const answers = asked.flatMap((one) => (one.status === 'answered' ? [one.answer] : []))
    const found = answers.flatMap((answer) => (answer.status === 'found' ? [answer] : []))
    const failed = asked.find((one) => one.status === 'failed')
    // RFC 7672 section 2.1.2: an error or bogus is no absence. Where the other family was found, its addresses will do, and
    // nothing is gained by the failure: these decide what is asked of TLSA.
    if (found.length === 0)
      return failed ? { status: 'unknown', reason: failed.reason } : { status: 'no-address' }
    const list = found.flatMap(({ records }) => records)
    return { list, bases: on ? await basesOf(host, found, signal) : none('DANE is off') }
  }

  /** RFC 7672 section 2.2.3. */
  const basesOf = async (
    host: string,
    found: readonly Answer[],
    signal?: AbortSignal,
  ): Promise<Addresses['bases']> => {
    const secure = found.find(({ authentic }) => authentic)
    if (secure) return secure.canonicalName === host ? [host] : [secure.canonicalName, host]
    if (found.every(({ canonicalName }) => canonicalName === host))
      return none('the address records are not signed')
    // The chain as a whole is not secure, but its first link may be, and then the host's own name stands.
    const alias = await ask(host, 'CNAME', signal)
    if (alias.status === 'failed') return alias
    return alias.answer.authentic ? [host] : none('the host is an alias that is not signed')
  }

  const tlsaOf = async (
    bases: readonly string[],
    port: number,
    signal?: AbortSignal,
  ): Promise<DaneOutcome> => {
    let outcome = none('no name')
    for (const baseDomain of bases) {
      const name = `_${port}._tcp.${baseDomain}` // RFC 7672 section 2.2.3
      const asked = await ask(name, 'TLSA', signal)
      // RFC 7672 section 2.1.2: never absence, and never a reason to go on with another name.
      if (asked.status === 'failed') return asked
      const { answer } = asked
      if (answer.status === 'found' && answer.authentic) {
        const { records } = answer
        const usable = usableRecords(records)
        return usable.length === 0
          ? { status: 'unusable', baseDomain, records }
          : { status: 'usable', baseDomain, usable, records }
      }
      outcome = none(
        answer.status === 'found' ? 'its TLSA records are not signed' : 'it has no TLSA records',
      )
    }
    return outcome
  }

  return {
    async find(host, port, signal) {
      signal?.throwIfAborted()
      if (isIP(host) !== 0)
        return {
          status: 'reachable',
          addresses: [host],
          dane: none('an address has no TLSA records'),
        }
      const name = host.toLowerCase().replace(/\.$/, '')
      const on = await isOnOrUnknown(signal)
      if (typeof on === 'string') return { status: 'unknown', reason: on }
      const looked = await lookUp(name, on, signal)
      if ('status' in looked) return looked
      const { list: addresses, bases } = looked
      const dane = 'status' in bases ? bases : await tlsaOf(bases, port, signal)
      return { status: 'reachable', addresses, dane }
    },
  }
}

function none(reason: string): DaneOutcome {
  return { status: 'none', reason }
}
