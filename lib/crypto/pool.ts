// A pool of worker threads for work that blocks: a bounded queue in front, lost threads replaced.
import type { ResourceLimits } from 'node:worker_threads'
import { TempError } from '../errors.ts'
import type { JobTable } from './job-messages.ts'
import { Place } from './pool-worker.ts'
import type { Job } from './pool-worker.ts'

const JOB_TIMEOUT_MS = 30_000

export interface PoolOptions {
  /** Absolute path of the worker's script, which calls `serve`. */
  readonly entry: string
  readonly size: number
  /** How many jobs may wait. One more is refused as TempError crypto/busy. */
  readonly queueLimit: number
  /** A job that takes longer loses its thread and fails as TempError crypto/worker. Starting counts. */
  readonly jobTimeoutMs?: number
  /** Of each thread. One that needs more is lost, and its job fails as TempError crypto/worker. */
  readonly resourceLimits?: ResourceLimits
  readonly log?: (line: string) => void
}

export interface WorkerPool<Jobs extends JobTable<Jobs>> {
  /**
   * Runs a job. Byte arrays in `args` are copied; with `give` they must not be used any more, and large ones are not.
   * TempError crypto/busy or crypto/worker, or what the job threw.
   */
  run<Name extends keyof Jobs & string>(
    job: Name,
    args: Parameters<Jobs[Name]>[0],
    originals?: 'keep' | 'give',
  ): Promise<Awaited<ReturnType<Jobs[Name]>>>
  /** Starts the threads now, so that the first jobs do not wait for them. */
  warm(): void
  /** Ends the threads; running and queued jobs fail as TempError crypto/worker. */
  close(): Promise<void>
  readonly queued: number
  /** Of the threads that live now. */
  readonly threadIds: readonly number[]
}

export function createWorkerPool<Jobs extends JobTable<Jobs>>(
  options: PoolOptions,
): WorkerPool<Jobs> {
  const { entry, size, queueLimit, jobTimeoutMs = JOB_TIMEOUT_MS, log = () => {} } = options
  const { resourceLimits = {} } = options
  const queue: Job[] = []
  let closed = false

  const next = (): void => {
    if (closed) return
    for (const place of places) {
      if (queue.length === 0) return
      if (place.free) place.run(queue.shift()!)
    }
    // No thread starts: what waits is told now, and not when its own time is over.
    if (places.every((place) => place.waiting)) rejectQueued('no worker starts')
  }
  const rejectQueued = (reason: string): void => {
    for (const job of queue.splice(0)) job.reject(new TempError('crypto/worker', reason))
  }
  const places = Array.from(
    { length: size },
    () => new Place({ entry, jobTimeoutMs, resourceLimits, log, onChange: next }),
  )
  const enqueue = (job: Job): void => {
    if (closed) return job.reject(new TempError('crypto/worker', 'the worker pool was closed'))
    if (queue.length >= queueLimit && !places.some((place) => place.free)) {
      return job.reject(new TempError('crypto/busy', 'too many jobs wait for a worker'))
    }
    queue.push(job)
    next()
  }

  return {
    run: (name, args, originals = 'keep') =>
      new Promise((resolve, reject) => {
        // The one place where the worker's answer gets the type that the table of jobs promises.
        enqueue({ name, args, originals, resolve: resolve as (value: unknown) => void, reject })
      }),
    warm(): void {
      for (const place of places) place.warm()
    },
    async close(): Promise<void> {
      closed = true
      rejectQueued('the worker pool was closed')
      await Promise.all(places.map((place) => place.close()))
    },
    get queued() {
      return queue.length
    },
    get threadIds() {
      return places.flatMap((place) => place.threadId ?? [])
    },
  }
}
