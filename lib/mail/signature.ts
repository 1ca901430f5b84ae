// What every way of signing mail looks like to the rest: one folder implements it.
import type { Field } from './header.ts'
import type { Message } from './message.ts'
import type { TrustSource } from './scheme.ts'

/** What a signature told us. Only `pass` may ever be shown to a reader as verified. The words are RFC 8601's (section 2.7.1). */
export type SignatureResult =
  | { readonly status: 'none' }
  | ({ readonly status: 'pass' } & SignatureNames)
  | ({
      /** neutral: good, but not over all that counts. temperror: nobody can say now. permerror: not to be understood. */
      readonly status: 'fail' | 'neutral' | 'temperror' | 'permerror'
      /** For the log and for Authentication-Results: no text of the message. */
      readonly reason: string
    } & Partial<SignatureNames>)

export interface SignatureNames {
  /** The signing domain, an A-label. */
  readonly domain: string
  /** The signer's address. */
  readonly identity: string
}

/** Who signs: an address of ours, and the domain's generation of keys. */
export interface Signatures {
  /** What `sign` would sign with; undefined: the domain has no key, or does not publish it yet. TempError: nobody can say now. */
  generationFor(domain: string): Promise<SigningGeneration | undefined>
  /** The field to put on top. Reads the body to its end. `address` is normalised. */
  sign(message: Message, address: string, generation: SigningGeneration): Promise<Field>
  /** Reads the body to its end if there is a signature. Never throws for what a message says. */
  verify(message: Message, trust: readonly TrustSource[]): Promise<SignatureResult>
  /** Whether the domain says that it signs. TempError: nobody can say now. */
  publishes(domain: string, trust: readonly TrustSource[]): Promise<boolean>
}

export interface SigningGeneration {
  readonly n: number
  /** `periodAt` of its kind. */
  readonly period: 'none' | 'day' | 'week' | 'month'
}
