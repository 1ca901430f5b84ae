// hisho/tlsrpt: what happens to TLS on the way to other domains is counted, and they are told.
import type { Plugin } from '../../lib/haraka/api.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { inConfig, readIni, servicesOf } from '../../lib/haraka/process.ts'
import { registerForDelivery } from '../../lib/haraka/registration.ts'
import { parseTlsrptSettings } from '../../lib/services/tlsrpt-settings.ts'

export {
  note_wishes,
  offer_requiretls,
  start_delivery,
  take_requiretls,
} from '../../lib/haraka/delivery-hooks.ts'

const settings = liveSettings('hisho.tlsrpt.ini', readIni, (ini) =>
  parseTlsrptSettings(ini, inConfig),
)

export function register(this: Plugin): void {
  settings.load(this)
  servicesOf(this).tlsrpt.use(settings.current(), () => settings.current().enabled)
  registerForDelivery(this)
}

/** Haraka calls it when it ends in good order. */
export function shutdown(this: Plugin): void {
  servicesOf(this)
    .tlsrpt.flush()
    .catch(() => {}) // said in the log by itself
}
