// How the library is set up in a thread: what it refuses, and how much it may spend. docs/openpgp.md, "Limits".
import { config, enums } from 'openpgp'
import { useDirectCrypto } from './direct-crypto.ts'
import { LARGEST_PLAINTEXT_BYTES, LEAST_RSA_BITS, MOST_ARGON2_MEMORY_EXPONENT } from './limits.ts'

const { symmetric, hash } = enums

/** What keys of ours say that they read. */
const STRONG = ['aes256', 'aes128', 'aes192'] as const
/** Of blocks of 64 bits. IDEA is no member: the library cannot read it, and nobody shall. */
const WEAK = ['tripledes', 'cast5', 'blowfish'] as const

export type Cipher = (typeof STRONG)[number] | (typeof WEAK)[number]
export const STRONG_CIPHERS: readonly Cipher[] = STRONG
export const WEAK_CIPHERS: readonly Cipher[] = WEAK

/** RFC 9580 section 9.3. */
export function cipherOf(number: number): Cipher | undefined {
  const numbers: Readonly<Record<Cipher, number>> = symmetric
  return [...STRONG_CIPHERS, ...WEAK_CIPHERS].find((name) => numbers[name] === number)
}

/** The settings are the thread's: they hold for all that runs in it. */
export function setUpLibrary(): void {
  useDirectCrypto(globalThis.crypto.subtle)
  Object.assign(config, {
    maxDecompressedMessageSize: LARGEST_PLAINTEXT_BYTES,
    maxArgon2MemoryExponent: MOST_ARGON2_MEMORY_EXPONENT,
    allowUnauthenticatedMessages: false,
    allowUnauthenticatedStream: false,
    allowInsecureDecryptionWithSigningKeys: false,
    enforceGrammar: true,
    constantTimePKCS1Decryption: true,
    minRSABits: LEAST_RSA_BITS,
    // Beside the library's own, which is all below it, a digest of 224 bits.
    rejectMessageHashAlgorithms: new Set([...config.rejectMessageHashAlgorithms, hash.sha224]),
    showVersion: false,
    showComment: false,
  } satisfies Partial<typeof config>)
}
