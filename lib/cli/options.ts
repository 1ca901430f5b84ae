// Values of options and arguments, as they come from the command line. What is wrong with one is a usage error.
import { InvalidArgumentError } from 'commander'
import { TRUST_SOURCES, type TrustSource } from '../mail/scheme.ts'
import { EXEMPTIONS, type Exemption } from '../protection/exemption.ts'
import { RULE_KEYS } from '../protection/rule-line.ts'
import { SCHEME_KINDS } from '../services/schemes.ts'
import type { MasterKeyScheme, Period } from '../vault/contents.ts'
import { isDay, type Day } from '../tlsrpt/day.ts'
import { parseDomain } from './kgc.ts'

const PERIODS: readonly Period[] = ['none', 'day', 'week', 'month']
const KEY_SCHEMES: readonly MasterKeyScheme[] = ['bf', 'cc', 'bb2']

export function asPeriod(text: string): Period {
  return oneOf(PERIODS, text)
}

export function asKeyScheme(text: string): MasterKeyScheme {
  return oneOf(KEY_SCHEMES, text)
}

export function asDays(text: string): number {
  if (!/^\d{1,3}$/.test(text)) throw new InvalidArgumentError('It is no number of days.')
  return Number(text)
}

/** `2026-11-22` */
export function asDay(text: string): Day {
  if (!isDay(text)) throw new InvalidArgumentError('It is no day (2026-11-22).')
  return text
}

/** `2026-11-22`, or with a time. */
export function asDate(text: string): Date {
  const date = new Date(text)
  if (Number.isNaN(date.getTime())) throw new InvalidArgumentError('It is no date (2026-11-22).')
  return date
}

export function asTrustSources(text: string): readonly TrustSource[] {
  return asList(text).map((source) => oneOf(TRUST_SOURCES, source))
}

export function asList(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

export function asSerial(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It is no positive number.')
  return Number(text)
}

export function asDomain(text: string): string {
  try {
    return parseDomain(text)
  } catch {
    throw new InvalidArgumentError('It is no domain.')
  }
}

export function asPort(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('It is no port.')
  return port
}

/** For options that may come more than once. */
export function collectDomains(text: string, before: readonly string[]): readonly string[] {
  return [...new Set([...before, asDomain(text)])]
}

export function collectTexts(text: string, before: readonly string[]): readonly string[] {
  return [...before, text]
}

/** `key=value`; true and false are no texts, commas make a list, and nothing behind the sign takes the key away. */
export function collectSettings(
  text: string,
  before: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const [, key, value = ''] = /^([a-z_]+)=(.*)$/.exec(text) ?? []
  if (key === undefined) throw new InvalidArgumentError('It is no key=value.')
  if (SCHEME_KINDS.every(({ settings }) => !settings?.includes(key)))
    throw new InvalidArgumentError('No scheme has such a key.')
  return { ...before, [key]: value === '' ? undefined : settingValue(value) }
}

function settingValue(text: string): unknown {
  if (text.includes(',')) return asList(text)
  return text === 'true' ? true : text === 'false' ? false : text
}

const SECONDS = { d: 86_400, m: 30 * 86_400, y: 365 * 86_400 } as const

/** `90d`, `6m`, `2y` as seconds; `never` is 0. */
export function asDuration(text: string): number {
  if (text === 'never') return 0
  const [, count, unit] = /^(\d{1,4})([dmy])$/.exec(text) ?? []
  const seconds = Number(count) * SECONDS[unit === 'd' || unit === 'm' ? unit : 'y']
  if (!(seconds > 0)) throw new InvalidArgumentError('It must be like 90d, 6m, 2y, or never.')
  return seconds
}

/** A parser for one of these words. */
export function word<T extends string>(known: readonly T[]): (text: string) => T {
  return (text) => oneOf(known, text)
}

export function asExemptions(text: string): readonly Exemption[] {
  return asList(text).map((kind) => oneOf(EXEMPTIONS, kind))
}

/** Of a line of the domain table, as they are written there. */
export function asLineKeys(text: string): readonly string[] {
  const ofSchemes = SCHEME_KINDS.flatMap(({ settings = [] }) => settings)
  return asList(text).map((key) => oneOf([...RULE_KEYS, ...new Set(ofSchemes)], key))
}

function oneOf<T extends string>(known: readonly T[], text: string): T {
  const found = known.find((word) => word === text)
  if (found === undefined) throw new InvalidArgumentError(`It must be one of ${known.join(', ')}.`)
  return found
}
