// The scheme as the rest of hisho sees it: worker threads and caches are inside.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { createWorkerPool } from '../crypto/pool.ts'
import type { PoolOptions, WorkerPool } from '../crypto/pool.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { decryptError, ENCAPSULATION_BYTES } from './boneh-franklin.ts'
import type { IbeJobs } from './jobs.ts'
import { createKekCache } from './kek-cache.ts'
import type { KekCache, KekCacheLimits } from './kek-cache.ts'
import type { Parameters } from './parameters.ts'
import { signedText } from './record-signature.ts'

const MINUTE_MS = 60_000
const SWEEP_MS = MINUTE_MS

// A KEK serves at most 10 minutes and 1,000 messages: docs/formats.md, "Encryption".
const SENDER_LIMITS: KekCacheLimits = {
  maxEntries: 10_000,
  maxAgeMs: 10 * MINUTE_MS,
  maxUses: 1000,
}
// Twice the sender's age: mail that waits a while on its way still finds it.
const RECEIVER_LIMITS: KekCacheLimits = {
  maxEntries: 10_000,
  maxAgeMs: 20 * MINUTE_MS,
  maxUses: Infinity,
}

export interface IbeOptions {
  readonly pool: WorkerPool<IbeJobs>
  readonly clock: Clock
  readonly limits?: {
    readonly sender?: KekCacheLimits
    readonly receiver?: KekCacheLimits
  }
}

/** Every secret that comes out is a copy, which the caller wipes; every secret that goes in stays the caller's. */
export interface Ibe {
  generateMasterKey(): Promise<SecretBytes>
  /** 96 bytes: `Parameters.publicKey`. */
  publicKey(masterKey: SecretBytes): Promise<Uint8Array>
  /** Whether a public key is a point of the subgroup other than infinity. */
  checkPublicKey(publicKey: Uint8Array): Promise<boolean>
  /** The identity key, 48 bytes; `dst` is the scheme's tag of H1. Costs a multiplication each time. */
  extract(masterKey: SecretBytes, identity: string, dst: string): Promise<SecretBytes>
  /** Whether an identity key is what `extract` gives under the master key of this public key. Costs two pairings. */
  checkIdentityKey(question: CheckIdentityKeyRequest): Promise<boolean>
  /** A KEK for the identity, the same for some minutes. PermError ibe/parameters: the public key is no point. */
  encapsulate(request: EncapsulateRequest): Promise<EncapsulatedKek>
  /** PermError ibe/decrypt for everything that does not open. */
  decapsulate(request: DecapsulateRequest): Promise<SecretBytes>
  /** A signature for `Parameters.signatures`, by the master key of another generation of the scheme. 48 bytes. */
  signRecord(masterKey: SecretBytes, domain: string, parameters: Parameters): Promise<Uint8Array>
  verifyRecord(request: VerifyRecordRequest): Promise<boolean>
  /** Wipes expired keys now and then, until `close`. Does not keep a process alive. */
  startSweeping(): void
  /** Wipes every key held. The pool stays its owner's. */
  close(): void
  /** For whoever measures. */
  readonly kekCaches: Readonly<
    Record<'sender' | 'receiver', Pick<KekCache<unknown>, 'size' | 'hits' | 'misses'>>
  >
}

export interface CheckIdentityKeyRequest {
  readonly publicKey: Uint8Array
  readonly identity: string
  /** The scheme's tag of H1. */
  readonly dst: string
  readonly identityKey: SecretBytes
}

export interface EncapsulateRequest {
  readonly publicKey: Uint8Array
  readonly n: number
  readonly identity: string
}

export interface EncapsulatedKek {
  readonly kek: SecretBytes
  readonly encapsulation: Uint8Array
}

export interface DecapsulateRequest {
  readonly identityKey: SecretBytes
  readonly n: number
  readonly identity: string
  readonly encapsulation: Uint8Array
}

export interface VerifyRecordRequest {
  readonly domain: string
  readonly parameters: Parameters
  /** Of the generation that is said to have signed. */
  readonly publicKey: Uint8Array
  readonly signature: Uint8Array
}

/** A pool of this scheme's workers. */
export function createIbePool(options: Omit<PoolOptions, 'entry'>): WorkerPool<IbeJobs> {
  return createWorkerPool<IbeJobs>({ ...options, entry: join(__dirname, 'worker.js') })
}

export function createIbe({ pool, clock, limits = {} }: IbeOptions): Ibe {
  const sent = createKekCache<Uint8Array>(clock, limits.sender ?? SENDER_LIMITS)
  const received = createKekCache<undefined>(clock, limits.receiver ?? RECEIVER_LIMITS)
  const caches = [sent, received]
  let sweeper: NodeJS.Timeout | undefined

  return {
    kekCaches: { sender: sent, receiver: received },
    generateMasterKey: async () => new SecretBytes(await pool.run('generateMasterKey', undefined)),
    publicKey: (masterKey) => pool.run('publicKey', { masterKey: masterKey.bytes }),
    checkPublicKey: (publicKey) => pool.run('checkPublicKey', { publicKey }),
    extract: async (masterKey, identity, dst) =>
      new SecretBytes(await pool.run('extract', { masterKey: masterKey.bytes, identity, dst })),
    checkIdentityKey: ({ identityKey, ...question }) =>
      pool.run('checkIdentityKey', { ...question, identityKey: identityKey.bytes }),
    async encapsulate({ publicKey, n, identity }) {
      const name = `${n} ${Buffer.from(publicKey).toString('base64')} ${identity}`
      const held = await sent.take(name, async () => {
        const { kek, encapsulation } = await pool.run('encapsulate', { publicKey, identity })
        return { secret: new SecretBytes(kek), open: encapsulation }
      })
      return { kek: held.secret, encapsulation: held.open }
    },
    async decapsulate(request) {
      const { identityKey, n, identity, encapsulation } = request
      if (encapsulation.length !== ENCAPSULATION_BYTES) throw decryptError()
      // The identity key is in the name, so that what is held opens for nobody who could not open it himself.
      const name = digest(identityKey.bytes, encapsulation, `${n} ${identity}`)
      const held = await received.take(name, async () => {
        const key = { identityKey: identityKey.bytes, encapsulation }
        return { secret: new SecretBytes(await pool.run('decapsulate', key)), open: undefined }
      })
      return held.secret
    },
    signRecord: (masterKey, domain, parameters) =>
      pool.run('signRecord', {
        masterKey: masterKey.bytes,
        text: signedText(domain, parameters),
      }),
    verifyRecord: ({ domain, parameters, publicKey, signature }) =>
      pool.run('verifyRecord', { publicKey, text: signedText(domain, parameters), signature }),
    startSweeping() {
      sweeper ??= setInterval(() => {
        for (const cache of caches) cache.sweep()
      }, SWEEP_MS).unref()
    },
    close() {
      clearInterval(sweeper)
      sweeper = undefined
      for (const cache of caches) cache.clear()
    },
  }
}

/** Only the last part may vary in length. */
function digest(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('base64')
}
