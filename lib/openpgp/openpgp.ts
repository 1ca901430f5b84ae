// OpenPGP as the rest of hisho sees it: worker threads are inside.
import { join } from 'node:path'
import { createWorkerPool, type PoolOptions, type WorkerPool } from '../crypto/pool.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import type { OpenPgpJobs } from './jobs.ts'

export type OpenPgpPool = WorkerPool<OpenPgpJobs>

/** JavaScript's own memory; what lies outside of it (buffers, Argon2) is bounded by the limits of limits.ts. */
const HEAP_MB = 512
/** Less than a hook of Haraka's has: a message that takes longer is put off, and not lost from sight. */
const JOB_TIMEOUT_MS = 20_000

export function createOpenPgpPool(options: Omit<PoolOptions, 'entry'>): OpenPgpPool {
  return createWorkerPool<OpenPgpJobs>({
    jobTimeoutMs: JOB_TIMEOUT_MS,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    ...options,
    entry: join(__dirname, 'worker.js'),
  })
}

/** Each in an array of its own, for a job; those of secrets are the caller's, who wipes them. */
export function copies(keys: readonly (Uint8Array | SecretBytes)[]): Uint8Array[] {
  return keys.map((key) => Uint8Array.from(key instanceof SecretBytes ? key.bytes : key))
}

export function wipe(secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0)
}
