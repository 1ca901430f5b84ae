// What OpenPGP may cost us. docs/openpgp.md, "Limits".

/** Of a message that we seal, and of the ciphertext that we try to open. */
export const LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024
/** Of what a compressed message becomes. */
export const LARGEST_PLAINTEXT_BYTES = 2 * LARGEST_MESSAGE_BYTES
/** Certificates, in one piece; one of a popular person with many signatures has some hundred KB. */
export const LARGEST_KEYS_BYTES = 1024 * 1024
export const MOST_KEYS = 50
export const MOST_USER_IDS = 50

/** For whom one message may be sealed. */
export const MOST_SESSION_KEY_PACKETS = 200
/** Packets that do not say whom they are for (RFC 9580 section 5.1.8) are tried so often, over all own keys. */
export const MOST_HIDDEN_TRIES = 16
/** Packets that name one and the same key are tried so often. */
export const MOST_NAMED_TRIES = 3
export const MOST_SIGNATURES = 8

export const LEAST_RSA_BITS = 2048
export const MOST_RSA_BITS = 8192

/** 2^18 KiB, 256 MiB: RFC 9580 section 3.7.1.4. */
export const MOST_ARGON2_MEMORY_EXPONENT = 18
export const MOST_ARGON2_PASSES = 10
export const MOST_ARGON2_LANES = 16
