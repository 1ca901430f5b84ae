// Ini files as Haraka's own config loader reads them: defaults of the package, overrides of the operator, merged by key.
import { readFileSync } from 'node:fs'
import { PermError } from '../errors.ts'

/** One ini file as sections of texts, numbers or booleans: Haraka's loader guesses the types. */
export type Ini = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>

export interface Reader {
  text(section: string, key: string): string
  number(section: string, key: string, least: number): number
  boolean(section: string, key: string): boolean
  list(section: string, key: string): string[]
  /** The text of a file that the key names. */
  file(section: string, key: string, path: string): string
  error(section: string, key: string, reason: string): PermError
}

export function reader(file: string, ini: Ini): Reader {
  const error = (section: string, key: string, reason: string): PermError =>
    new PermError('haraka/settings', `${file} [${section}] ${key}: ${reason}`)
  const text = (section: string, key: string): string => {
    const value = ini[section]?.[key]
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      ? String(value).trim()
      : ''
  }
  return {
    error,
    text,
    number: (section, key, least) => {
      const value = text(section, key)
      if (!/^\d{1,9}$/.test(value) || Number(value) < least)
        throw error(section, key, `must be a whole number from ${least}`)
      return Number(value)
    },
    boolean: (section, key) => {
      const value = text(section, key).toLowerCase()
      if (/^(?:true|yes|on|1|enabled)$/.test(value)) return true
      if (/^(?:false|no|off|0|disabled)$/.test(value)) return false
      throw error(section, key, 'must be true or false')
    },
    list: (section, key) =>
      text(section, key)
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== ''),
    file: (section, key, path) => {
      try {
        return readFileSync(path, 'utf8')
      } catch {
        throw error(section, key, `${path} cannot be read`)
      }
    },
  }
}
