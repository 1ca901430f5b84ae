// What passes between a worker pool and its workers. Bytes are copied into arrays of their own and then handed over:
// cloning a view would carry the whole buffer under it across, with whatever else lies there.
import { PermError, TempError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'

/** Names of jobs, and what each takes and gives. */
export type JobTable<Jobs> = { readonly [Name in keyof Jobs]: (args: never) => unknown }

export interface JobRequest {
  readonly id: number
  readonly job: string
  readonly args: unknown
}

export type WorkerMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure }

/** An error in a form that survives the border between threads. */
export type Failure =
  | { readonly kind: 'temp' | 'perm'; readonly code: ErrorCode; readonly message: string }
  | { readonly kind: 'bug'; readonly message: string; readonly stack: string | undefined }

export interface Parcel<T> {
  readonly value: T
  readonly transfer: readonly ArrayBuffer[]
}

/**
 * The value with its byte arrays copied, one level deep, and the copies' buffers, which may change owners.
 * `wipe` is for a value that nobody needs here any more: its arrays are zeroed.
 */
export function pack(value: unknown, originals: 'keep' | 'wipe'): Parcel<unknown> {
  const transfer: ArrayBuffer[] = []
  const copy = (item: unknown): unknown => {
    if (!(item instanceof Uint8Array)) return item
    const bytes = Uint8Array.from(item)
    transfer.push(bytes.buffer)
    if (originals === 'wipe') item.fill(0)
    return bytes
  }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) {
    return { value: copy(value), transfer }
  }
  const entries = Object.entries(value).map(([name, item]) => [name, copy(item)] as const)
  return { value: Object.fromEntries(entries), transfer }
}

export function packError(error: unknown): Failure {
  if (error instanceof TempError) return { kind: 'temp', code: error.code, message: error.message }
  if (error instanceof PermError) return { kind: 'perm', code: error.code, message: error.message }
  if (error instanceof Error) return { kind: 'bug', message: error.message, stack: error.stack }
  return { kind: 'bug', message: 'a job threw what is no error', stack: undefined }
}

export function unpackError(failure: Failure): Error {
  if (failure.kind === 'bug') {
    const error = new Error(failure.message)
    if (failure.stack !== undefined) error.stack = failure.stack
    return error
  }
  return failure.kind === 'temp'
    ? new TempError(failure.code, failure.message)
    : new PermError(failure.code, failure.message)
}
