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
  const { config, ini } = context.haraka()
  const services = context.services('with-table')
  const { delivery } = services
  const mtaSts = parseMtaStsSettings(ini('hisho.mta_sts.ini'), inConfigOf(config))
  const dane = parseDaneSettings(ini('hisho.dane.ini'))
  delivery.useMtaSts(mtaSts, () => mtaSts.enabled)
  delivery.useDane(dane, () => dane.enabled)
  return { services, delivery }
}
