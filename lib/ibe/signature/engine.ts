// Signing and verifying on the worker threads. What arrives while a check runs is checked together.
import type { WorkerPool } from '../../crypto/pool.ts'
import type { SecretBytes } from '../../crypto/secret-bytes.ts'
import { SIGNATURE_BYTES } from './cha-cheon.ts'
import { DIGEST_BYTES, type SignatureJobs } from './jobs.ts'

export interface SignatureEngineOptions {
  readonly pool: Pick<WorkerPool<SignatureJobs>, 'run'>
  /** How many signatures one job checks at most: all wait for the slowest. */
  readonly batchLimit?: number
}

export interface SignRequest {
  readonly identityKey: SecretBytes
  readonly identity: string
  /** SHA-256, 32 bytes. */
  readonly digest: Uint8Array
}

export interface VerifyRequest {
  /** 96 bytes: `Parameters.publicKey`. */
  readonly publicKey: Uint8Array
  readonly identity: string
  readonly digest: Uint8Array
  readonly signature: Uint8Array
}

/** TempError crypto/busy or crypto/worker where the threads cannot do it now. */
export interface SignatureEngine {
  /** 96 bytes. The key stays the caller's. PermError vault/malformed: it is no point. */
  sign(request: SignRequest): Promise<Uint8Array>
  /** Of a batch, a bad signature harms no other. PermError ibe/parameters: the public key is no point. */
  verify(request: VerifyRequest): Promise<boolean>
}

const BATCH_LIMIT = 16

interface Waiting {
  readonly request: VerifyRequest
  readonly resolve: (good: boolean) => void
  readonly reject: (error: unknown) => void
}

/** What waits for one public key. */
interface Line {
  readonly waiting: Waiting[]
  running: number
}

export function createSignatureEngine(options: SignatureEngineOptions): SignatureEngine {
  const { pool, batchLimit = BATCH_LIMIT } = options
  const lines = new Map<string, Line>()

  const check = async (batch: readonly Waiting[]): Promise<void> => {
    const requests = batch.map(({ request }) => request)
    try {
      const good = await pool.run('verify', {
        publicKey: requests[0]!.publicKey,
        identities: requests.map(({ identity }) => identity),
        digests: Buffer.concat(requests.map(({ digest }) => digest)),
        signatures: Buffer.concat(requests.map(({ signature }) => signature)),
      })
      for (const [at, { resolve }] of batch.entries()) resolve(good[at] === 1)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }
  /** One check a key at a time; a second one beside it only where the wait would fill another batch. */
  const advance = (name: string, line: Line): void => {
    while (line.waiting.length > 0 && (line.running === 0 || line.waiting.length >= batchLimit))
      void run(name, line, line.waiting.splice(0, batchLimit))
    if (line.running === 0) lines.delete(name)
  }
  const run = async (name: string, line: Line, batch: readonly Waiting[]): Promise<void> => {
    line.running++
    await check(batch)
    line.running--
    advance(name, line)
  }

  return {
    async sign({ identityKey, identity, digest }) {
      assertDigest(digest)
      return pool.run('sign', { identityKey: identityKey.bytes, identity, digest })
    },
    async verify(request) {
      assertDigest(request.digest)
      if (request.signature.length !== SIGNATURE_BYTES) return false
      const name = Buffer.from(request.publicKey).toString('base64')
      const line = lines.get(name) ?? { waiting: [], running: 0 }
      lines.set(name, line)
      return new Promise((resolve, reject) => {
        line.waiting.push({ request, resolve, reject })
        advance(name, line)
      })
    },
  }
}

function assertDigest(digest: Uint8Array): void {
  if (digest.length !== DIGEST_BYTES) throw new RangeError('a digest has 32 bytes')
}
