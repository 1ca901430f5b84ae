// What the workers do for BB2. Everything here blocks, and wipes the secrets that it was given.
import type { Bn254 } from '../../crypto/bn254.ts'
import {
  extract,
  generateKeyPair,
  isIdentityKey,
  open,
  parsePublicKey,
  randomness,
  seal,
  type Encapsulated,
  type KeyPair,
} from './boneh-boyen.ts'

export interface Bb2Jobs {
  readonly generate: (args: undefined) => KeyPair
  /** PermError ibe/parameters names the tag. */
  readonly check: (args: { publicKey: Uint8Array }) => void
  readonly extract: (args: { masterKey: Uint8Array; localPart: string }) => Uint8Array
  /** PermError ibe/parameters as `check`. */
  readonly checkIdentityKey: (args: {
    publicKey: Uint8Array
    localPart: string
    identityKey: Uint8Array
  }) => boolean
  readonly encapsulate: (args: { publicKey: Uint8Array; localPart: string }) => Encapsulated
  readonly decapsulate: (args: { identityKey: Uint8Array; encapsulation: Uint8Array }) => Uint8Array
}

export function createJobs(curve: Bn254): Bb2Jobs {
  return {
    generate: () => generateKeyPair(curve),
    check: (args) => void parsePublicKey(curve, args.publicKey),
    extract: ({ masterKey, localPart }) =>
      wiping(masterKey, () => extract(curve, masterKey, localPart)),
    checkIdentityKey: ({ publicKey, localPart, identityKey }) =>
      wiping(identityKey, () =>
        isIdentityKey(curve, parsePublicKey(curve, publicKey), localPart, identityKey),
      ),
    encapsulate({ publicKey, localPart }) {
      const key = parsePublicKey(curve, publicKey)
      return seal(curve, key, localPart, randomness(curve, key))
    },
    decapsulate: ({ identityKey, encapsulation }) =>
      wiping(identityKey, () => open(curve, identityKey, encapsulation)),
  }
}

function wiping<T>(secret: Uint8Array, use: () => T): T {
  try {
    return use()
  } finally {
    secret.fill(0)
  }
}
