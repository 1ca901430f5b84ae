// The ini of one plugin: checked when Haraka starts, read again when the file changes.
import { HishoError } from '../errors.ts'
import type { Ini } from '../services/ini-reader.ts'
import type { Plugin } from './api.ts'

export interface LiveSettings<T> {
  /** For `register`: throws, and so keeps Haraka from starting, on a bad value. */
  load(plugin: Plugin): void
  /** The last good settings. */
  current(): T
}

export function liveSettings<T>(
  name: string,
  readIni: (plugin: Plugin, name: string, changed: () => void) => Ini,
  parse: (ini: Ini) => T,
): LiveSettings<T> {
  let settings: T | undefined
  // Haraka forgets the callback of a file that is read without one: each reading hands itself over again.
  const read = (plugin: Plugin): T => parse(readIni(plugin, name, () => reload(plugin)))
  const reload = (plugin: Plugin): void => {
    try {
      settings = read(plugin)
      plugin.lognotice(`${name} read again`)
    } catch (error) {
      plugin.logerror(
        `${name} refused, the last good values stay: ${error instanceof HishoError ? error.message : 'unknown cause'}`,
      )
    }
  }
  return {
    load: (plugin) => {
      settings = read(plugin)
    },
    current: () => {
      if (settings === undefined) throw new Error(`${name} was never loaded`)
      return settings
    },
  }
}
