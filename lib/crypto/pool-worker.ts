// One place in a worker pool: a thread, or the wait before the next one. It runs one job at a time.
import { Worker, type ResourceLimits } from 'node:worker_threads'
import { TempError } from '../errors.ts'
import { pack, unpackError } from './job-messages.ts'
import type { WorkerMessage } from './job-messages.ts'

const BACK_OFF_FIRST_MS = 250
const BACK_OFF_LIMIT_MS = 30_000

export interface Job {
  readonly name: string
  readonly args: unknown
  readonly originals: 'keep' | 'give'
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

export interface PlaceOptions {
  readonly entry: string
  readonly jobTimeoutMs: number
  readonly resourceLimits: ResourceLimits
  readonly log: (line: string) => void
  /** Called whenever this place may have become free, or gone into a wait. */
  readonly onChange: () => void
}

export class Place {
  readonly #options: PlaceOptions
  #worker: Worker | undefined
  #running: { readonly id: number; readonly job: Job; readonly timer: NodeJS.Timeout } | undefined
  #ready = false
  #failedStarts = 0
  #wait: NodeJS.Timeout | undefined
  #lastId = 0

  constructor(options: PlaceOptions) {
    this.#options = options
  }

  /** Takes a job now: no job runs and no wait is on. */
  get free(): boolean {
    return this.#running === undefined && this.#wait === undefined
  }

  /** Waits after threads that could not start. */
  get waiting(): boolean {
    return this.#wait !== undefined
  }

  get threadId(): number | undefined {
    return this.#worker?.threadId
  }

  /** Starts the thread, if none is there, before the first job asks for it. */
  warm(): void {
    if (this.free) this.#start()
  }

  run(job: Job): void {
    const worker = this.#start()
    const id = ++this.#lastId
    const timer = setTimeout(
      () => this.#lose(worker, 'a job took too long'),
      this.#options.jobTimeoutMs,
    )
    this.#running = { id, job, timer }
    worker.ref() // a process waits for its jobs, and not for idle threads
    try {
      const { value, transfer } = pack(job.args, job.originals)
      worker.postMessage({ id, job: job.name, args: value }, transfer)
    } catch (error) {
      this.#finish()?.reject(error as Error) // cannot be sent: the thread never heard of it
      this.#options.onChange()
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#wait)
    const worker = this.#worker
    this.#worker = undefined
    this.#finish()?.reject(new TempError('crypto/worker', 'the worker pool was closed'))
    await worker?.terminate()
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const { entry, resourceLimits } = this.#options
    const worker = new Worker(entry, { resourceLimits })
    this.#worker = worker
    this.#ready = false
    worker.unref()
    worker.on('message', (message: WorkerMessage) => this.#hear(worker, message))
    worker.on('messageerror', () => this.#lose(worker, 'a message could not be read'))
    worker.on('error', (error) => this.#lose(worker, error.message))
    worker.on('exit', (code) => this.#lose(worker, `exit code ${code}`))
    return worker
  }

  #hear(worker: Worker, message: WorkerMessage): void {
    if (worker !== this.#worker) return
    this.#ready = true
    this.#failedStarts = 0
    if (this.#running === undefined) worker.unref() // again: a thread on its way up holds the process
    if (message.kind === 'ready' || message.id !== this.#running?.id) return
    const job = this.#finish()
    if (message.kind === 'done') job?.resolve(message.value)
    else job?.reject(unpackError(message.failure))
    this.#options.onChange()
  }

  /** The thread is gone or of no use: its job fails, and the next job gets another thread. */
  #lose(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return
    this.#worker = undefined
    this.#options.log(`worker lost: ${reason}`)
    void worker.terminate()
    this.#finish()?.reject(new TempError('crypto/worker', 'a worker was lost'))
    if (!this.#ready) this.#backOff()
    this.#options.onChange()
  }

  /** Only threads that never became ready count: one that a job has killed is replaced at once. */
  #backOff(): void {
    const ms = Math.min(BACK_OFF_FIRST_MS * 2 ** this.#failedStarts, BACK_OFF_LIMIT_MS)
    this.#failedStarts++
    this.#wait = setTimeout(() => {
      this.#wait = undefined
      this.#options.onChange()
    }, ms)
    this.#wait.unref()
  }

  #finish(): Job | undefined {
    const running = this.#running
    if (running === undefined) return undefined
    this.#running = undefined
    clearTimeout(running.timer)
    this.#worker?.unref()
    return running.job
  }
}
