// `hisho kgc serve`: the key generation centre for gateways on other machines, in the foreground until it is told to end.
import { join } from 'node:path'
import { PermError } from '../errors.ts'
import { KEY_SCHEMES } from '../ibe/remote/protocol.ts'
import type { KeyCentre } from '../ibe/remote/handler.ts'
import { fingerprintOf, recordOf } from '../ibe/remote/pins.ts'
import type { GatewayList } from '../ibe/remote/server.ts'
import { keyCentreOf, startKgcService } from '../services/kgc-service.ts'
import { parseKgcServerSettings } from '../services/kgc-settings.ts'
import { createServices, type Log } from '../services/services.ts'
import type { Context } from './context.ts'
import { packageRoot } from './haraka-directory.ts'

export async function serveKgc(context: Context): Promise<void> {
  const { terminal, clock, environment } = context
  const shared = context.settings()
  const haraka = context.haraka()
  if (shared.kgc) {
    const reason = 'this directory is a gateway of a KGC, and has no vault ([kgc] url in hisho.ini)'
    throw new PermError('haraka/settings', reason)
  }
  const settings = parseKgcServerSettings(haraka.ini('hisho.kgc.ini'), haraka.config)
  await context.passphrase() // asked for now, if nothing gives it
  const log: Log = (level, message) => terminal.note(`hisho: ${level}: ${message}`)
  const services = createServices({
    settings: { ...shared, tableFile: join(packageRoot, 'config', 'hisho.yaml') },
    environment,
    clock,
    log,
  })
  try {
    services.warm()
    const told = toldToEnd()
    const server = await startKgcService({ settings, services, clock, log })
    terminal.line(`KGC at ${settings.host}:${server.port}`)
    sayKeys(context, keyCentreOf(services), settings.gateways).catch(() => {}) // said in the log
    await told
    await server.close()
    terminal.line('KGC ended')
  } finally {
    await services.close()
  }
}

/** A second signal ends the process at once. */
function toldToEnd(): Promise<void> {
  return new Promise((resolve) => {
    const signals = ['SIGTERM', 'SIGINT'] as const
    const end = (): void => {
      for (const signal of signals) process.removeListener(signal, end)
      resolve()
    }
    for (const signal of signals) process.on(signal, end)
  })
}

/** For the operator to compare with what a gateway shows when it pins them. */
async function sayKeys(
  { terminal }: Context,
  centre: KeyCentre,
  gateways: GatewayList,
): Promise<void> {
  const domains = [...new Set([...gateways.values()].flatMap((names) => [...names]))].toSorted()
  for (const domain of domains) {
    const lists = await Promise.all(
      KEY_SCHEMES.map(async (scheme) =>
        (await centre.generations(domain, scheme)).map((generation) => {
          const fingerprint = fingerprintOf(recordOf(scheme, generation))
          return `${domain}  a=${scheme} n=${generation.n}  ${fingerprint}`
        }),
      ),
    )
    for (const line of lists.flat()) terminal.line(line)
    if (lists.flat().length === 0)
      terminal.note(`hisho: warn: the vault has no master key of ${domain}, which is on the list`)
  }
}
