// The KGC as a service, wired: the vault behind it, the network in front, the audit log between.
import type { Clock } from '../clock.ts'
import { createAuditLog } from '../ibe/remote/audit.ts'
import { createKgcHandler, type KeyCentre } from '../ibe/remote/handler.ts'
import { createRateLimit } from '../ibe/remote/rate.ts'
import { startKgcServer, type KgcServer } from '../ibe/remote/server.ts'
import { activeEntries } from '../vault/contents.ts'
import type { KgcServerSettings } from './kgc-settings.ts'
import type { Log, Services } from './services.ts'

export interface KgcServiceOptions {
  readonly settings: KgcServerSettings
  readonly services: Pick<Services, 'keyRing' | 'keys'>
  readonly clock: Clock
  readonly log: Log
}

/** Rejects if it cannot listen. The services stay their owner's. */
export function startKgcService({
  settings,
  services,
  clock,
  log,
}: KgcServiceOptions): Promise<KgcServer> {
  const handler = createKgcHandler({
    centre: keyCentreOf(services),
    window: { pastMs: settings.windowMs, skewMs: settings.skewMs },
    rate: createRateLimit(clock, settings.ratePerMinute),
    audit: createAuditLog(settings.auditFile, clock),
    clock,
    log,
  })
  return startKgcServer({ ...settings, handler, clock, log })
}

export function keyCentreOf({ keyRing, keys }: KgcServiceOptions['services']): KeyCentre {
  return {
    // After a look at the file: a gateway that hears of no such generation delivers what was sealed under it unopened.
    generations: async (domain, scheme) =>
      activeEntries(await keyRing.latest(), domain, scheme).map((entry) => ({
        n: entry.n,
        period: entry.period,
        publicKey: Buffer.from(entry.publicKey, 'base64'),
      })),
    identityKey: (request) => keys.identityKey(request),
  }
}
