// One time limit and one caller's signal, as one signal.
import { TempError } from '../errors.ts'

/**
 * Runs the work with a signal that aborts with a `dns/timeout` after so many milliseconds, or with the caller's reason
 * when the caller aborts. Nothing stays behind: neither the timer nor a listener on the caller's signal.
 */
export async function withDeadline<T>(
  milliseconds: number,
  caller: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  caller?.throwIfAborted()
  const controller = new AbortController()
  const follow = (): void => controller.abort(caller?.reason)
  const expire = (): void => controller.abort(new TempError('dns/timeout', 'no answer in time'))
  const timer = setTimeout(expire, milliseconds)
  caller?.addEventListener('abort', follow, { once: true })
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
    caller?.removeEventListener('abort', follow)
  }
}
