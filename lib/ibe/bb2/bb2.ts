// BB2 as the rest of hisho sees it: worker threads are inside.
import { join } from 'node:path'
import { createWorkerPool } from '../../crypto/pool.ts'
import type { PoolOptions, WorkerPool } from '../../crypto/pool.ts'
import { SecretBytes } from '../../crypto/secret-bytes.ts'
import type { Bb2Jobs } from './jobs.ts'
import { parametersOf, publicKeyOf, type LegacyParameters } from './parameters.ts'

export interface Bb2Options {
  readonly pool: WorkerPool<Bb2Jobs>
}

/** Every secret that comes out is the caller's, who wipes it; every secret that goes in stays the caller's. */
export interface Bb2 {
  /** The master key, 128 bytes (x || y || h), and the public key, 576 bytes (g || X || Y || v). */
  generate(): Promise<{ readonly masterKey: SecretBytes; readonly publicKey: Uint8Array }>
  /** A public key as what its record says. PermError vault/malformed if it has another length. */
  parametersOf(n: number, publicKey: Uint8Array): LegacyParameters
  /** PermError ibe/parameters names the tag that is no point, or no element of GT. */
  check(parameters: LegacyParameters): Promise<void>
  /** The identity key, 96 bytes (K || r): another one each time, and each opens the same mail. */
  extract(masterKey: SecretBytes, localPart: string): Promise<SecretBytes>
  /** Whether an identity key is one that `extract` gives for it. PermError ibe/parameters as `check`. */
  checkIdentityKey(
    parameters: LegacyParameters,
    localPart: string,
    identityKey: SecretBytes,
  ): Promise<boolean>
  /** A new key, 32 bytes, and its encapsulation, 448 bytes. PermError ibe/parameters as `check`. */
  encapsulate(parameters: LegacyParameters, localPart: string): Promise<EncapsulatedKey>
  /**
   * The key. For an identity key that is not the right one it is a wrong key: only the cipher can tell.
   * PermError ibe/decrypt for what is no encapsulation.
   */
  decapsulate(identityKey: SecretBytes, encapsulation: Uint8Array): Promise<SecretBytes>
}

export interface EncapsulatedKey {
  readonly key: SecretBytes
  readonly encapsulation: Uint8Array
}

/** A pool of this scheme's workers. */
export function createBb2Pool(options: Omit<PoolOptions, 'entry'>): WorkerPool<Bb2Jobs> {
  return createWorkerPool<Bb2Jobs>({ ...options, entry: join(__dirname, 'worker.js') })
}

export function createBb2({ pool }: Bb2Options): Bb2 {
  return {
    async generate() {
      const { masterKey, publicKey } = await pool.run('generate', undefined)
      return { masterKey: new SecretBytes(masterKey), publicKey }
    },
    parametersOf,
    check: (parameters) => pool.run('check', { publicKey: publicKeyOf(parameters) }),
    extract: async (masterKey, localPart) =>
      new SecretBytes(await pool.run('extract', { masterKey: masterKey.bytes, localPart })),
    checkIdentityKey: (parameters, localPart, identityKey) =>
      pool.run('checkIdentityKey', {
        publicKey: publicKeyOf(parameters),
        localPart,
        identityKey: identityKey.bytes,
      }),
    async encapsulate(parameters, localPart) {
      const publicKey = publicKeyOf(parameters)
      const { key, encapsulation } = await pool.run('encapsulate', { publicKey, localPart })
      return { key: new SecretBytes(key), encapsulation }
    },
    decapsulate: async (identityKey, encapsulation) =>
      new SecretBytes(
        await pool.run('decapsulate', { identityKey: identityKey.bytes, encapsulation }),
      ),
  }
}
