// Mail that was put off is tried again at once, and not in an hour: NOOP means that here.
import { setTimeout as wait } from 'node:timers/promises'
import type { Files, Haraka } from './haraka.ts'
import { openSession } from './smtp-client.ts'

/** A line for config/plugins, and its file. */
export const RETRY_PLUGIN = 'retry_now'
export const RETRY_FILES: Files = {
  'plugins/retry_now.js':
    "exports.hook_noop = function (next) { this.haraka_require('outbound').temp_fail_queue.drain(); next() }\n",
  'config/outbound.ini': 'temp_fail_intervals=1h*1000\nlocal_mx_ok=true\n',
}

/** Tries all that waits, again and again. Rejects, with the log, after a bounded wait. */
export async function retryUntil(
  haraka: Haraka,
  isDone: () => boolean,
  timeoutMs = 20_000,
): Promise<void> {
  const session = await openSession(haraka.port, haraka.host)
  try {
    const endMs = Date.now() + timeoutMs
    while (!isDone()) {
      if (Date.now() > endMs)
        throw new Error(`not done within ${timeoutMs} ms:\n${haraka.log().slice(-6000)}`)
      await session.command('NOOP')
      await wait(50)
    }
  } finally {
    session.close()
  }
}
