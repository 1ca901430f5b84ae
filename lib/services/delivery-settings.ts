// What the way of mail to other servers depends on: [delivery] of hisho.ini, hisho.mta_sts.ini and hisho.dane.ini.
import { isAbsolute, join } from 'node:path'
import { reader, type Ini, type Reader } from './ini-reader.ts'
import { authorities, type InConfig } from './source-settings.ts'

export interface DeliverySettings {
  readonly port: number
  /** PEM, for the certificates of mail servers. */
  readonly ca?: string
  readonly requireTls: boolean
}

export function parseDelivery(read: Reader, inConfig: InConfig): DeliverySettings {
  return {
    port: portOf(read, 'delivery', 'port'),
    requireTls: read.boolean('delivery', 'requiretls'),
    ...authorities(read, inConfig, 'delivery', 'ca_file'),
  }
}

/** Paths in an ini are relative to Haraka's config directory. */
export function inConfigOf(configDirectory: string): InConfig {
  return (path) => (path === '' || isAbsolute(path) ? path : join(configDirectory, path))
}

export interface MtaStsSettings {
  readonly enabled: boolean
  readonly onLookupFailure: 'defer' | 'none'
  readonly port: number
  readonly timeoutMs: number
  /** PEM, for the certificates of policy hosts. */
  readonly ca?: string
  readonly allowPrivate: boolean
  readonly maxPolicies: number
  readonly refresh: boolean
}

export function parseMtaStsSettings(ini: Ini, inConfig: InConfig): MtaStsSettings {
  const read = reader('hisho.mta_sts.ini', ini)
  const onLookupFailure = read.text('main', 'on_lookup_failure')
  if (onLookupFailure !== 'defer' && onLookupFailure !== 'none')
    throw read.error('main', 'on_lookup_failure', 'must be defer or none')
  return {
    enabled: read.boolean('main', 'enabled'),
    onLookupFailure,
    port: portOf(read, 'policy_host', 'port'),
    timeoutMs: read.number('policy_host', 'timeout_ms', 1),
    allowPrivate: read.boolean('policy_host', 'allow_private'),
    ...authorities(read, inConfig, 'policy_host', 'ca_file'),
    maxPolicies: read.number('cache', 'max_policies', 1),
    refresh: read.boolean('cache', 'refresh'),
  }
}

export interface DaneSettings {
  readonly enabled: boolean
  /** A name that is known to be signed. */
  readonly probe: string
}

export function parseDaneSettings(ini: Ini): DaneSettings {
  const read = reader('hisho.dane.ini', ini)
  const probe = read.text('main', 'probe')
  if (probe === '') throw read.error('main', 'probe', 'must name a domain, such as the root: .')
  return { enabled: read.boolean('main', 'enabled'), probe }
}

function portOf(read: Reader, section: string, key: string): number {
  const port = read.number(section, key, 1)
  if (port > 65_535) throw read.error(section, key, 'must be at most 65535')
  return port
}
