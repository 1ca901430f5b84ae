// OpenPGP as the rest of hisho sees it: worker threads are inside.
import { join } from 'node:path'
import { createWorkerPool, type PoolOptions, type WorkerPool } from '../crypto/pool.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import type { OpenPgpJobs } from './jobs.ts'

export type OpenPgpPool = WorkerPool<OpenPgpJobs>

/** JavaScript's own memory; what lies outside of it (buffers, Argon2) is bounded by the limits of limits.ts. */
const HEAP_MB = 512

export function createOpenPgpPool(options: Omit<PoolOptions, 'entry'>): OpenPgpPool {
  return createWorkerPool<OpenPgpJobs>({
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    ...options,
    entry: join(__dirname, 'worker.js'),
  })
}

/** Keys one after the other, as the jobs take them. What comes out holds secrets if what goes in does. */
export function joined(keys: readonly (Uint8Array | SecretBytes)[]): Uint8Array {
  const bytes = keys.map((key) => (key instanceof SecretBytes ? key.bytes : key))
  const all = new Uint8Array(bytes.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const one of bytes) {
    all.set(one, at)
    at += one.length
  }
  return all
}
