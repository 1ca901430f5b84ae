// hisho/mta_sts: mail goes over the TLS that its receiver promises with MTA-STS.
import type { Plugin } from '../../lib/haraka/api.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { inConfig, readIni, servicesOf } from '../../lib/haraka/process.ts'
import { registerForDelivery } from '../../lib/haraka/registration.ts'
import { parseMtaStsSettings } from '../../lib/services/delivery-settings.ts'

export {
  note_wishes,
  offer_requiretls,
  start_delivery,
  take_requiretls,
} from '../../lib/haraka/delivery-hooks.ts'

const settings = liveSettings('hisho.mta_sts.ini', readIni, (ini) =>
  parseMtaStsSettings(ini, inConfig),
)

export function register(this: Plugin): void {
  settings.load(this)
  servicesOf(this).delivery.useMtaSts(settings.current(), () => settings.current().enabled)
  registerForDelivery(this)
}
