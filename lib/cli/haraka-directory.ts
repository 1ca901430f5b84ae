// A Haraka directory, its settings read as Haraka reads them. The one importer of haraka-config.
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { module_config } from 'haraka-config'
import { PermError } from '../errors.ts'
import type { Ini } from '../services/ini-reader.ts'
import { parseSharedSettings, type SharedSettings } from '../services/settings.ts'

/** Where this package lies: its config/ holds the defaults, its package.json the version. */
export const packageRoot = resolve(__dirname, '..', '..', '..')

export interface HarakaDirectory {
  readonly path: string
  /** Where its settings lie. */
  readonly config: string
  /** An ini of ours: the package's defaults, the operator's keys over them. */
  ini(name: string): Ini
  /** A file of Haraka's own: what stands in this directory, and no defaults. */
  ownIni(name: string, booleans?: readonly string[]): Ini
  /** The lines of a list, without comments and blank ones. */
  list(name: string): readonly string[]
  /** The only or first line of a file; undefined if it is not there. */
  value(name: string): string | undefined
  /** PermError haraka/settings. */
  settings(): SharedSettings
}

/** `option`, else the variable HARAKA, else the current directory. PermError cli/usage if it has no config/. */
export function openHarakaDirectory(
  option: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): HarakaDirectory {
  const path = resolve(option ?? environment['HARAKA'] ?? '.')
  const config = join(path, 'config')
  if (!existsSync(config)) {
    throw new PermError(
      'cli/usage',
      `${path} is no Haraka directory: it has no config/ (give one with --haraka DIR, or in the variable HARAKA)`,
    )
  }
  const ours = module_config(packageRoot, path)
  const own = module_config(path)
  const read = (name: string, get: () => unknown): unknown => {
    try {
      return withoutConsole(get)
    } finally {
      // haraka-config watches what it has read, and would report our own writes.
      ours.stop_watching(name)
      own.stop_watching(name)
    }
  }
  const list = (name: string): readonly string[] => {
    const lines = read(name, () => own.get(name, 'list'))
    return Array.isArray(lines) ? lines.map(String) : []
  }
  const ini = (name: string): Ini => read(name, () => ours.get(name, 'ini')) as Ini
  return {
    path,
    config,
    ini,
    ownIni: (name, booleans = []) => read(name, () => own.get(name, { booleans })) as Ini,
    list,
    value: (name) => (existsSync(join(config, name)) ? list(name)[0] : undefined),
    settings: () => parseSharedSettings(ini('hisho.ini'), config),
  }
}

/** haraka-config prints lines that it does not understand: among a message on stdout, and perhaps with a password. */
function withoutConsole<T>(get: () => T): T {
  const { log, error } = console
  console.log = () => {}
  console.error = () => {}
  try {
    return get()
  } finally {
    Object.assign(console, { log, error })
  }
}
