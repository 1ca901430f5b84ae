// BB2 as a scheme for mail: what a domain gets that publishes records of version 1.0 and nothing newer.
import type { Clock } from '../../clock.ts'
import { closeBody, messageBytes, type Message } from '../../mail/message.ts'
import { formatIbemail, isIbemail } from '../../mail/ibemail-encrypted.ts'
import type { Offer, Scheme, SchemeKind, TrustSource } from '../../mail/scheme.ts'
import type { KeySource } from '../key-source.ts'
import type { Bb2 } from './bb2.ts'
import { openFor } from './opening.ts'
import type { LegacyParameters } from './parameters.ts'
import { freshAad, freshIv, sealPayload } from './payload.ts'

export const BB2: SchemeKind = { name: 'bb2' }

/** Where the parameters of others come from. */
export interface LegacyDirectory {
  /** undefined: the domain publishes none of version 1.0, or something newer. */
  legacyParameters(
    domain: string,
    trust: readonly TrustSource[],
  ): Promise<
    { readonly parameters: LegacyParameters; readonly untrusted?: string | undefined } | undefined
  >
}

export interface Bb2SchemeOptions {
  readonly bb2: Pick<Bb2, 'check' | 'encapsulate' | 'decapsulate'>
  readonly directory: LegacyDirectory
  readonly clock: Clock
  readonly keys: KeySource
  /** Whether mail may be sent under it. What arrives is opened all the same. */
  readonly isAllowed: () => boolean
}

export function createBb2Scheme(options: Bb2SchemeOptions): Scheme {
  const { bb2, directory, clock, keys, isAllowed } = options
  const checked = new WeakSet<LegacyParameters>()

  async function* seal(
    parameters: LegacyParameters,
    address: string,
    message: Message,
  ): AsyncGenerator<Uint8Array> {
    try {
      const { key, encapsulation } = await bb2.encapsulate(parameters, localPartOf(address))
      try {
        const sealing = { key: key.bytes, encapsulation, iv: freshIv(clock), aad: freshAad() }
        yield* sealPayload(sealing, messageBytes(message))
      } finally {
        key.wipe()
      }
    } finally {
      await closeBody(message)
    }
  }

  return {
    name: BB2.name,
    detect: isIbemail,

    async offer({ domain, trust }): Promise<Offer | undefined> {
      if (!isAllowed()) return undefined
      const found = await directory.legacyParameters(domain, trust)
      if (found === undefined) return undefined
      const { parameters, untrusted } = found
      // Here and not while a body is read: whether a broken record stops a message is for its domain's rule to say.
      if (!checked.has(parameters)) await bb2.check(parameters)
      checked.add(parameters)
      return {
        scheme: 'bb2',
        description: `ibe-bb2 n=${parameters.n}`,
        ...(untrusted === undefined ? {} : { untrusted }),
        oneRecipient: true,
        seal(addresses, message) {
          const [address] = addresses
          if (address === undefined || addresses.length > 1) {
            throw new Error('the format of version 1.0 has one recipient a message')
          }
          return formatIbemail(message.fields, seal(parameters, address, message))
        },
      }
    },

    open: (message, addresses) => openFor(message, addresses, { bb2, keys }),
  }
}

/** The paper's ID, of an address in its normal form. */
function localPartOf(address: string): string {
  return address.slice(0, address.lastIndexOf('@'))
}
