// The keys of age as texts: Bech32 (BIP 173), without its limit on length. c2sp.org/age.
import { bech32 } from '@scure/base'
import { ContainerError } from './container-error.ts'

const IDENTITY_START = 'age-secret-key-'

/** Recipients are written in lower case and identities in upper case, and read only so. */
export function decodeKey(text: string, prefix: string, sizeBytes: number): Uint8Array {
  const decoded = bech32.decodeUnsafe(text, false)
  const bytes = decoded && bech32.fromWordsUnsafe(decoded.words)
  const cased = prefix.startsWith(IDENTITY_START) ? text.toUpperCase() : text.toLowerCase()
  if (
    !decoded ||
    !bytes ||
    decoded.prefix !== prefix ||
    bytes.length !== sizeBytes ||
    text !== cased
  ) {
    // Not the text itself: it may be a secret key with a typing mistake.
    throw new ContainerError('key', `this is not a key that begins with ${prefix}1`)
  }
  return Uint8Array.from(bytes)
}

export function encodeKey(prefix: string, bytes: Uint8Array): string {
  const text = bech32.encode(prefix, bech32.toWords(bytes), false)
  return prefix.startsWith(IDENTITY_START) ? text.toUpperCase() : text
}
