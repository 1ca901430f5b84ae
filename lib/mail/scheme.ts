// What every way of protecting content looks like to the rest: one folder implements it, one list names it.
import type { Field } from './header.ts'
import type { Message } from './message.ts'

/** A domain can receive by this scheme, and this is how. */
export interface Offer {
  readonly scheme: string
  /** For logs: scheme, serial, no secret. */
  readonly description: string
  /** Why the key may not be what the domain publishes now: then it does not satisfy `required`. */
  readonly untrusted?: string
  /** The format knows one recipient a message: each gets a copy of its own. */
  readonly oneRecipient?: true
  /**
   * The message for the wire, readable by these addresses (normalised, all of the offer's domain).
   * Failures come while its body is read: nothing of it may be let go before the end.
   */
  seal(addresses: readonly string[], message: Message): Message
}

/** Where a domain's public parameters may come from, in order of trust. docs/trust.md. */
export const TRUST_SOURCES = ['dnssec', 'doh', 'well_known', 'continuity'] as const
export type TrustSource = (typeof TRUST_SOURCES)[number]

/** What a line of the domain table says for its schemes: values as YAML gives them, checked by the scheme whose keys they are. */
export type SchemeSettings = Readonly<Record<string, unknown>>

/** What the domain table has to know of a scheme. */
export interface SchemeKind {
  readonly name: string
  /** The keys of its own that a line of the table may have. */
  readonly settings?: readonly string[]
  /** The first thing that is wrong with them. undefined: they are good, and this process can do what they ask. */
  problemWith?(
    settings: SchemeSettings,
  ): { readonly key: string; readonly reason: string } | undefined
  /** What is good, and yet nothing to leave so: for the operator to look at. */
  warningFor?(settings: SchemeSettings): string | undefined
}

export interface Scheme {
  readonly name: string
  /**
   * undefined: there is no key for the domain. TempError: nobody can say now. PermError ibe/parameters and the like: there is
   * one that cannot be used.
   */
  offer(
    domain: string,
    trust: readonly TrustSource[],
    settings: SchemeSettings,
  ): Promise<Offer | undefined>
  /** Whether the root of a message says that it is of this scheme. `start`: the first octets of its body. */
  detect(fields: readonly Field[], start: Uint8Array): boolean
  /** Opens it for those of the envelope's addresses (normalised) it was sealed for. TempError while the cause may pass. */
  open(message: Message, addresses: readonly string[]): Promise<Opening>
}

export type Opening =
  | {
      readonly status: 'opened'
      /** The envelope's addresses that the ciphertext names; all others must not see the plaintext. */
      readonly addresses: readonly string[]
      /** Scheme, serial and identity, for the Hisho-Decrypted field and the log. */
      readonly description: string
      /** The site that has sealed it, where the key proves that: nobody else has it but us. */
      readonly site?: string
      /** Nothing of it may be let go before its body was read to the end without error. */
      readonly message: Message
    }
  | { readonly status: 'closed'; readonly reason: string }
