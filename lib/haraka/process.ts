// One set of services for all hisho plugins of a Haraka process, made by the first that asks.
import { isAbsolute, join } from 'node:path'
import { systemClock } from '../clock.ts'
import { createServices, type Services } from '../services/services.ts'
import type { Ini } from '../services/ini-reader.ts'
import { parseSharedSettings } from '../services/settings.ts'
import type { Plugin } from './api.ts'
import { logTo } from './hook.ts'

let services: Services | undefined

/** PermError if the settings or the table cannot be used: Haraka then does not start. */
export function servicesOf(plugin: Plugin): Services {
  services ??= createServices({
    settings: parseSharedSettings(readIni(plugin, 'hisho.ini'), configDirectory()),
    environment: process.env,
    clock: systemClock,
    log: logTo(plugin),
  })
  return services
}

/** An ini of ours: defaults from the package, overrides from Haraka's config directory. */
export function readIni(plugin: Plugin, name: string, changed?: () => void): Ini {
  return plugin.config.get(name, ...(changed ? [changed] : [])) as Ini
}

/** A path of an ini: in the config directory unless it is absolute. Empty stays empty. */
export function inConfig(path: string): string {
  return path === '' || isAbsolute(path) ? path : join(configDirectory(), path)
}

/** Where this Haraka keeps its settings. */
function configDirectory(): string {
  return join(process.env['HARAKA'] ?? process.cwd(), 'config')
}
