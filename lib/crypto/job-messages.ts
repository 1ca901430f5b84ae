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

/** What is shorter is copied faster than its buffer changes owners. */
const LEAST_HANDED_OVER = 64 * 1024

/**
 * The value with its byte arrays, and those in its lists, in buffers that may change owners: copies, by default. `give` is for
 * a value that nobody uses here any more: a large array that has its buffer for itself goes as it is. `wipe`: and all
 * others are zeroed.
 */
export function pack(value: unknown, originals: 'keep' | 'give' | 'wipe'): Parcel<unknown> {
  const transfer = new Set<ArrayBuffer>()
  const copy = (item: unknown): unknown => {
    if (!(item instanceof Uint8Array)) return item
    if (originals !== 'keep' && isAlone(item) && !transfer.has(item.buffer)) {
      transfer.add(item.buffer)
      return item
    }
    const bytes = Uint8Array.from(item)
    transfer.add(bytes.buffer)
    if (originals === 'wipe') item.fill(0)
    return bytes
  }
  const member = (item: unknown): unknown =>
    Array.isArray(item) ? item.map((one: unknown) => copy(one)) : copy(item)
  const packed =
    typeof value !== 'object' || value === null || value instanceof Uint8Array
      ? copy(value)
      : Object.fromEntries(Object.entries(value).map(([name, item]) => [name, member(item)]))
  return { value: packed, transfer: [...transfer] }
}

function isAlone(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  const { buffer, length } = bytes
  return (
    length >= LEAST_HANDED_OVER && buffer instanceof ArrayBuffer && buffer.byteLength === length
  )
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
