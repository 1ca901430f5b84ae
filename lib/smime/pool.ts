// S/MIME's worker threads.
import { join } from 'node:path'
import { createWorkerPool, type PoolOptions, type WorkerPool } from '../crypto/pool.ts'
import type { SmimeJobs } from './jobs.ts'

export type SmimePool = WorkerPool<SmimeJobs>

export function createSmimePool(options: Omit<PoolOptions, 'entry'>): SmimePool {
  return createWorkerPool<SmimeJobs>({ ...options, entry: join(__dirname, 'worker.js') })
}

/** DER elements one after the other, as the jobs take them. What comes out holds secrets if what goes in does. */
export function joined(elements: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(elements.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const element of elements) {
    all.set(element, at)
    at += element.length
  }
  return all
}
