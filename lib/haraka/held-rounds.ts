// Held mail is looked after in the processes that deliver: of all of them one does it at a time.
import cluster from 'node:cluster'
import { join } from 'node:path'
import { createFileCache } from '../cache/file.ts'
import { createLease } from '../cache/lease.ts'
import { systemClock } from '../clock.ts'
import { createRounds } from '../protection/held/rounds.ts'
import { CONT, type Next, type Plugin } from './api.ts'
import { sendHeld, tellSender } from './held-mail.ts'
import { logTo } from './hook.ts'
import { servicesOf } from './process.ts'

/** Who dies is followed after so long. */
const LEASE_SECONDS = 60
const DAY_MS = 86_400_000

/** For init_master and init_child. */
export function startRounds(isEnabled: () => boolean) {
  return function start_rounds(
    this: Plugin,
    next: Next,
    server: { readonly cluster?: unknown },
  ): void {
    if (cluster.isWorker || !server.cluster) start(this, isEnabled)
    next(CONT)
  }
}

function start(plugin: Plugin, isEnabled: () => boolean): void {
  const services = servicesOf(plugin)
  const { held: store, heldSettings } = services
  // Beside the mail, whose disk only the processes of this machine share.
  const directory = join(store.directory, 'lease')
  const rounds = createRounds({
    store,
    ...heldSettings,
    lease: createLease({
      store: createFileCache({ directory, clock: systemClock, lasting: false }),
      key: 'held',
      ttlSeconds: LEASE_SECONDS,
    }),
    clock: systemClock,
    isEnabled,
    send: (mail, mode) => sendHeld(plugin, services, mail, mode),
    tell: (mail, notice, expires) => tellSender(plugin, mail, notice, expires),
    log: logTo(plugin),
  })
  rounds.start()
  const sweep = (): void => void services.threads.sweep().catch(() => {}) // the next day, then
  setInterval(sweep, DAY_MS).unref()
}
