// Delivery as the gateway of this directory has it: both parts on, as their files say, whatever config/plugins says.
import type { Delivery } from '../services/delivery.ts'
import {
  inConfigOf,
  parseDaneSettings,
  parseMtaStsSettings,
} from '../services/delivery-settings.ts'
import type { Services } from '../services/services.ts'
import type { Context } from './context.ts'

export function openDelivery(context: Context): {
  readonly services: Services
  readonly delivery: Delivery
} {
  const haraka = context.haraka()
  const services = context.services('with-table')
  const { delivery } = services
  const mtaSts = parseMtaStsSettings(haraka.ini('hisho.mta_sts.ini'), inConfigOf(haraka.config))
  const dane = parseDaneSettings(haraka.ini('hisho.dane.ini'))
  delivery.useMtaSts(mtaSts, () => mtaSts.enabled)
  delivery.useDane(dane, () => dane.enabled)
  return { services, delivery }
}
