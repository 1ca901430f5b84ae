// Counting from the start of a Haraka process to its end, which leaves nothing in memory, unless it is SIGKILL.
import type { TlsrptSettings } from '../services/tlsrpt-settings.ts'
import type { Plugin } from './api.ts'
import { servicesOf } from './process.ts'

export function startCounting(plugin: Plugin, current: () => TlsrptSettings): void {
  const { tlsrpt } = servicesOf(plugin)
  tlsrpt.use(current(), () => current().enabled)
  process.once('exit', () => tlsrpt.leave())
  process.once('SIGTERM', () => {
    tlsrpt.leave()
    // Haraka listens for it as process 1 alone. Else it is to end the process, as it would have.
    if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM')
  })
}

/** For Haraka's shutdown in good order, which waits for what is under way. */
export function endCounting(plugin: Plugin): void {
  servicesOf(plugin)
    .tlsrpt.flush()
    .catch(() => {}) // said in the log by itself
}
