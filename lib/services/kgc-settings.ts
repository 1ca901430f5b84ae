// Settings of both ends between a gateway and its KGC: [kgc] of hisho.ini, and hisho.kgc.ini.
import { readFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { normalizeDomain } from '../ibe/mail-domain.ts'
import { reader, type Ini, type Reader } from './ini-reader.ts'

/** A gateway's. */
export interface KgcSettings {
  readonly url: string
  /** PEM, as all of these. */
  readonly authorities: string
  readonly certificate: string
  readonly privateKey: string
  readonly privateKeyFile: string
  readonly timeoutMs: number
  readonly pinFile: string
}

/** undefined: no KGC, the master keys are in the vault. PermError haraka/settings. */
export function parseKgcSettings(
  read: Reader,
  inConfig: (path: string) => string,
): KgcSettings | undefined {
  const url = read.text('kgc', 'url')
  if (url === '') return undefined
  if (!isOrigin(url)) throw read.error('kgc', 'url', 'must be https://host:port')
  return {
    url,
    authorities: readPem(read, inConfig, 'kgc', 'ca_file'),
    certificate: readPem(read, inConfig, 'kgc', 'cert_file'),
    privateKey: readPem(read, inConfig, 'kgc', 'key_file'),
    privateKeyFile: inConfig(read.text('kgc', 'key_file')),
    timeoutMs: read.number('kgc', 'timeout_ms', 1),
    pinFile: inConfig(read.text('kgc', 'pins')),
  }
}

function isOrigin(text: string): boolean {
  return /^https:\/\/[^/?#@]+$/.test(text) && URL.canParse(text)
}

/** The KGC's own. */
export interface KgcServerSettings {
  readonly host: string
  readonly port: number
  readonly certificate: string
  readonly privateKey: string
  readonly clientAuthorities: string
  readonly windowMs: number
  readonly skewMs: number
  readonly ratePerMinute: number
  readonly auditFile: string
  readonly gateways: ReadonlyMap<string, ReadonlySet<string>>
}

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000
const WINDOW_MAX_DAYS = 365
const SKEW_MAX_MINUTES = 1440

/** PermError haraka/settings names section and key. */
export function parseKgcServerSettings(ini: Ini, configDirectory: string): KgcServerSettings {
  const read = reader('hisho.kgc.ini', ini)
  const inConfig = (path: string): string =>
    path === '' || isAbsolute(path) ? path : join(configDirectory, path)
  const audit = read.text('main', 'audit_log')
  if (audit === '') throw read.error('main', 'audit_log', 'is missing: each key leaves a line')
  return {
    ...parseListen(read),
    certificate: readPem(read, inConfig, 'main', 'cert_file'),
    privateKey: readPem(read, inConfig, 'main', 'key_file'),
    clientAuthorities: readPem(read, inConfig, 'main', 'client_ca_file'),
    windowMs: bounded(read, 'window_days', 0, WINDOW_MAX_DAYS) * DAY_MS,
    skewMs: bounded(read, 'clock_skew_minutes', 0, SKEW_MAX_MINUTES) * MINUTE_MS,
    ratePerMinute: bounded(read, 'rate_per_minute', 1, Infinity),
    auditFile: inConfig(audit),
    gateways: parseGateways(ini, read),
  }
}

function bounded(read: Reader, key: string, least: number, most: number): number {
  const value = read.number('main', key, least)
  if (value > most) throw read.error('main', key, `must be ${most} at most`)
  return value
}

function parseListen(read: Reader): { readonly host: string; readonly port: number } {
  const [, v6, v4, port] =
    /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(read.text('main', 'listen')) ?? []
  const host = v6 ?? v4
  if (host === undefined || Number(port) > 65_535)
    throw read.error('main', 'listen', 'must be address:port')
  return { host, port: Number(port) }
}

function parseGateways(ini: Ini, read: Reader): ReadonlyMap<string, ReadonlySet<string>> {
  const names = Object.keys(ini['gateways'] ?? {})
  if (names.length === 0) throw read.error('gateways', 'name', 'no gateway is on the list')
  return new Map(
    names.map((name) => {
      const domains = read.list('gateways', name)
      if (domains.length === 0) throw read.error('gateways', name, 'has no domains')
      return [
        asDomain(name, () => read.error('gateways', name, 'is no host name')),
        new Set(
          domains.map((domain) =>
            asDomain(domain, () => read.error('gateways', name, `${domain} is no domain`)),
          ),
        ),
      ]
    }),
  )
}

function asDomain(text: string, error: () => Error): string {
  try {
    return normalizeDomain(text)
  } catch {
    throw error()
  }
}

function readPem(
  read: Reader,
  inConfig: (path: string) => string,
  section: string,
  key: string,
): string {
  const name = read.text(section, key)
  if (name === '') throw read.error(section, key, 'is missing')
  try {
    return readFileSync(inConfig(name), 'utf8')
  } catch {
    throw read.error(section, key, `${inConfig(name)} cannot be read`)
  }
}
