// hisho/well_known: what our own domains publish, over HTTP, for a proxy that has the certificates of ibemail.<domain>,
// mta-sts.<domain> and openpgpkey.<domain>; and the lists of our own CA.
import type { HttpHost, Next, Plugin } from '../../lib/haraka/api.ts'
import { CONT } from '../../lib/haraka/api.ts'
import { logTo } from '../../lib/haraka/hook.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { readIni, servicesOf } from '../../lib/haraka/process.ts'
import { registerWithoutGate } from '../../lib/haraka/registration.ts'
import { keyPages } from '../../lib/haraka/well-known-keys.ts'
import { revocationListPages } from '../../lib/haraka/well-known-lists.ts'
import { parameterText, policyText } from '../../lib/haraka/well-known-texts.ts'
import { createWellKnown, warnUnlessListening } from '../../lib/haraka/well-known.ts'
import { parseWellKnownPluginSettings } from '../../lib/services/plugin-settings.ts'

// Haraka's own 404 follows as soon as the first hook gives up control: who comes later is never asked.
const FIRST = -100

const settings = liveSettings('hisho.well_known.ini', readIni, parseWellKnownPluginSettings)

export function register(this: Plugin): void {
  settings.load(this)
  registerWithoutGate(this)
  warnUnlessListening(this)
  this.register_hook('init_http', 'serve_records', FIRST)
}

/** Runs in each process that listens: the workers, or the only one when smtp.ini has nodes=0. */
export function serve_records(this: Plugin, next: Next, server: HttpHost): void {
  const services = servicesOf(this)
  services.hostedPolicies.start()
  server.http.app.use(
    createWellKnown({
      texts: [parameterText(services), policyText(services)],
      pages: [keyPages(services), revocationListPages(services)],
      settings: () => settings.current(),
      log: logTo(this),
    }),
  )
  next(CONT)
}
