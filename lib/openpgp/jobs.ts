// What the workers do for OpenPGP. All of it goes through the library, which is not to be trusted with our time and memory.
import { problemWith, readKeys, type CertificateFacts } from './certificates.ts'
import type { KeyType } from './key-types.ts'
import { setUpLibrary } from './library.ts'
import { open, type Opened } from './opening.ts'
import { generate, isLocked, renew, revoke, unlock } from './own-key-changes.ts'
import { createParsedKeys } from './parsed-keys.ts'
import { seal } from './sealing.ts'
import { verify, type SignatureFacts } from './signatures.ts'

/** Secret keys and certificates are binary, and of arrays of their own. RFC 9580 sections 10.1 and 10.2. */
export interface OpenPgpJobs {
  /** Of certificates or of secret keys, armored or binary: what everybody may know. PermError openpgp/key. */
  readonly readKeys: (args: { keys: Uint8Array }) => Promise<{ found: readonly CertificateFacts[] }>
  /** Why nothing can be sealed for a certificate now. */
  readonly problemWith: (args: {
    certificates: readonly Uint8Array[]
  }) => Promise<string | undefined>
  /** Signed by the first of the secret keys that can sign now, if there is one. PermError openpgp/key. */
  readonly seal: (args: {
    content: Uint8Array
    certificates: readonly Uint8Array[]
    secretKeys: readonly Uint8Array[]
  }) => Promise<{ packets: readonly Uint8Array[] }>
  /** PermError openpgp/decrypt, with one text whatever the reason. */
  readonly open: (args: {
    /** Overwritten, if it is large. */
    message: Uint8Array
    secretKeys: readonly Uint8Array[]
    weakCiphers: 'open' | 'refuse'
  }) => Promise<Opened>
  readonly verify: (args: {
    content: Uint8Array
    signatures: Uint8Array
    certificates: readonly Uint8Array[]
    /** In the place of content, as `open` has given them. */
    digests?: readonly Uint8Array[]
  }) => Promise<{ found: readonly SignatureFacts[] }>
  readonly generate: (args: {
    type: KeyType
    name: string
    address: string
    expiresSeconds: number
  }) => Promise<Uint8Array>
  /** With another time of expiry, counted from now. */
  readonly renew: (args: { secretKey: Uint8Array; expiresSeconds: number }) => Promise<Uint8Array>
  readonly revoke: (args: {
    secretKey: Uint8Array
    reason: 'retired' | 'compromised'
  }) => Promise<Uint8Array>
  readonly isLocked: (args: { secretKey: Uint8Array }) => Promise<boolean>
  /** Without its passphrase, which is '' where there is none. */
  readonly unlock: (args: { secretKey: Uint8Array; passphrase: string }) => Promise<Uint8Array>
}

export function createJobs(): OpenPgpJobs {
  setUpLibrary()
  const parsed = createParsedKeys()
  return {
    readKeys: (args) => wiping(args.keys, async () => ({ found: await readKeys(args) })),
    problemWith: (args) => problemWith(args, parsed),
    seal: (args) => wiping(args.secretKeys, async () => ({ packets: await seal(args, parsed) })),
    open: (args) => wiping(args.secretKeys, () => open(args, parsed)),
    verify: async (args) => ({ found: await verify(args, parsed) }),
    generate,
    renew: (args) => wiping(args.secretKey, () => renew(args)),
    revoke: (args) => wiping(args.secretKey, () => revoke(args)),
    isLocked: (args) => wiping(args.secretKey, () => isLocked(args)),
    unlock: (args) => wiping(args.secretKey, () => unlock(args)),
  }
}

async function wiping<T>(
  secrets: Uint8Array | readonly Uint8Array[],
  use: () => Promise<T>,
): Promise<T> {
  try {
    return await use()
  } finally {
    for (const secret of secrets instanceof Uint8Array ? [secrets] : secrets) secret.fill(0)
  }
}
