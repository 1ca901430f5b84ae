// Keys of age of either kind, by what their text begins with.
import {
  generateHybridIdentity,
  hybridIdentity,
  hybridRecipient,
  hybridRecipientOf,
} from './hybrid.ts'
import type { Identity, Recipient } from './stanza.ts'
import { generateX25519Identity, recipientOf, x25519Identity, x25519Recipient } from './x25519.ts'

export type AgeKind = 'x25519' | 'mlkem768x25519'

/** Of `age1...` and of `AGE-SECRET-KEY-...`; whether it is a key at all, the key's own parser tells. */
export function ageKindOf(key: string): AgeKind {
  return /^(?:age1pq1|AGE-SECRET-KEY-PQ-1)/.test(key) ? 'mlkem768x25519' : 'x25519'
}

/** PermError container/malformed if it is none. */
export function ageRecipient(recipient: string): Recipient {
  return ageKindOf(recipient) === 'x25519' ? x25519Recipient(recipient) : hybridRecipient(recipient)
}

/** PermError container/malformed, without the text, if it is none. */
export function ageIdentity(identity: string): Identity {
  return ageKindOf(identity) === 'x25519' ? x25519Identity(identity) : hybridIdentity(identity)
}

/** The recipient that belongs to an identity. */
export function ageRecipientOf(identity: string): string {
  return ageKindOf(identity) === 'x25519' ? recipientOf(identity) : hybridRecipientOf(identity)
}

/** A new identity: a secret. */
export function generateAgeIdentity(kind: AgeKind): string {
  return kind === 'x25519' ? generateX25519Identity().identity : generateHybridIdentity()
}
