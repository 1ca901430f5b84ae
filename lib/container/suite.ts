// The ciphers that a payload may have: age's own, and those that two sites may agree on in its place. docs/formats.md section 5.
import { createCipheriv } from 'node:crypto'

/** What age has, and what any recipient can open. */
export const AGE_SUITE = 'chacha20-poly1305'

export const SUITES = [
  AGE_SUITE,
  'aes-256-gcm',
  'camellia-256-cbc-hmac-sha256',
  'des-ede3-cbc-hmac-sha256',
  'idea-cbc-hmac-sha256',
  'des-cbc-hmac-sha256',
] as const
export type Suite = (typeof SUITES)[number]

/** A block cipher in CBC mode with a MAC over the ciphertext. */
export interface CbcCipher {
  readonly cipher: string
  readonly keyBytes: number
  readonly blockBytes: number
}

export const CBC_CIPHERS: Readonly<Partial<Record<Suite, CbcCipher>>> = {
  'camellia-256-cbc-hmac-sha256': { cipher: 'camellia-256-cbc', keyBytes: 32, blockBytes: 16 },
  'des-ede3-cbc-hmac-sha256': { cipher: 'des-ede3-cbc', keyBytes: 24, blockBytes: 8 },
  'idea-cbc-hmac-sha256': { cipher: 'idea-cbc', keyBytes: 16, blockBytes: 8 },
  'des-cbc-hmac-sha256': { cipher: 'des-cbc', keyBytes: 8, blockBytes: 8 },
}

/** Blocks of 64 bits: there for the record, and against nobody who means it. */
export function isWeak(suite: Suite): boolean {
  return CBC_CIPHERS[suite]?.blockBytes === 8
}

/** Whether OpenSSL has its cipher here: IDEA and DES are in its legacy provider, which Node loads only when told to. */
export function isAvailable(suite: Suite): boolean {
  const cbc = CBC_CIPHERS[suite]
  if (cbc === undefined) return true
  try {
    createCipheriv(cbc.cipher, new Uint8Array(cbc.keyBytes), new Uint8Array(cbc.blockBytes))
    return true
  } catch {
    return false
  }
}

/** For whoever has to mend it. */
export function missingText(suite: Suite): string {
  const name = CBC_CIPHERS[suite]?.cipher ?? suite
  return `this Node has no ${name}: it is in OpenSSL's legacy provider, start it with NODE_OPTIONS=--openssl-legacy-provider`
}
