// What every way of protecting content looks like to the rest: one folder implements it, one list names it.
import type { Field } from './header.ts'
import type { Message } from './message.ts'
import type { SignatureResult } from './signature.ts'

/** What is asked of a scheme for recipients of one domain whose line of the table is the same. */
export interface OfferRequest {
  readonly domain: string
  /** Normalised, all of the domain. None: what the domain as such could receive. */
  readonly addresses: readonly string[]
  /** By address: how the envelope has those that it writes otherwise. */
  readonly spellings?: ReadonlyMap<string, string>
  readonly trust: readonly TrustSource[]
  readonly settings: SchemeSettings
}

/** A domain can receive by this scheme, and this is how. */
export interface Offer {
  readonly scheme: string
  /** For logs: scheme, serial, no secret. */
  readonly description: string
  /** Those of the asked addresses that have a key; all of them, if left out. The others need another offer. */
  readonly addresses?: readonly string[]
  /** Why the key may not be what the domain publishes now: then it does not satisfy `required`. */
  readonly untrusted?: string
  /** The format knows one recipient a message: each gets a copy of its own. */
  readonly oneRecipient?: true
  /**
   * The message for the wire, readable by these addresses (normalised, all of the offer's domain).
   * Failures come while its body is read: nothing of it may be let go before the end.
   */
  seal(addresses: readonly string[], message: Message, sealing: Sealing): Message
}

/** What is known of a message that is to be sealed, and not from its header. */
export interface Sealing {
  /**
   * Who has proven to be the author, normalised, of a domain of ours: a scheme that signs inside signs for them.
   * undefined: nobody, and nothing is signed.
   */
  readonly author: string | undefined
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
   * undefined: there is no key for the domain, nor for any of the addresses. TempError: nobody can say now. PermError
   * ibe/parameters and the like: there is one that cannot be used.
   */
  offer(request: OfferRequest): Promise<Offer | undefined>
  /** Whether the root of a message says that it is of this scheme. `start`: the first octets of its body. */
  detect(fields: readonly Field[], start: Uint8Array): boolean
  /** Opens it for those of the envelope's addresses (normalised) it was sealed for. TempError while the cause may pass. */
  open(message: Message, addresses: readonly string[]): Promise<Opening>
  /** Whether the root of a message says that it is signed, and not encrypted, in this scheme's way. */
  detectSigned?(fields: readonly Field[], start: Uint8Array): boolean
  /** Judges it. Reads the body to its end; never throws for what a message says. */
  verify?(message: Message): Promise<ContentSignature>
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
      /** `unproven`: somebody on the way could have altered it, and nothing would show that. By default `ok`. */
      readonly integrity?: 'ok' | 'unproven'
      /** What the signature inside says, where the scheme has one. */
      readonly signature?: ContentSignature
      /** Names the sealed content key, and nothing else has the same name: for the memory of what came already. */
      readonly sealedKeyId?: string
      /**
       * The whole message, for the header that came with it outside see `restoreEntity`. Nothing of it may be let go before
       * its body was read to the end without error.
       */
      readonly message: Message
    }
  | { readonly status: 'closed'; readonly reason: string }

/** What a signature over the content says, made by its author or their site, in a way that is not ours alone. */
export interface ContentSignature {
  /** RFC 8601's method: `smime` is RFC 7281's. */
  readonly method: 'smime' | 'x-openpgp'
  /**
   * `pass`: it covers the whole message, its key is trusted, and it is of the one author in From. `neutral`: good, and one of
   * these is missing.
   */
  readonly result: SignatureResult
}
