// The kinds of keys that we make.

/** All but v6 are read by every program that is in use: docs/openpgp.md, "Interoperability". */
export const KEY_TYPES = ['curve25519', 'rsa3072', 'rsa4096', 'v6'] as const
export type KeyType = (typeof KEY_TYPES)[number]
