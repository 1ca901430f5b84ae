// hisho/dane: mail goes to servers that prove themselves by DNSSEC and TLSA records, where a domain has them.
import type { Plugin } from '../../lib/haraka/api.ts'
import { liveSettings } from '../../lib/haraka/live-settings.ts'
import { readIni, servicesOf } from '../../lib/haraka/process.ts'
import { registerForDelivery } from '../../lib/haraka/registration.ts'
import { parseDaneSettings } from '../../lib/services/delivery-settings.ts'

export {
  note_wishes,
  offer_requiretls,
  start_delivery,
  take_requiretls,
} from '../../lib/haraka/delivery-hooks.ts'

const settings = liveSettings('hisho.dane.ini', readIni, parseDaneSettings)

export function register(this: Plugin): void {
  settings.load(this)
  servicesOf(this).delivery.useDane(settings.current(), () => settings.current().enabled)
  registerForDelivery(this)
}
