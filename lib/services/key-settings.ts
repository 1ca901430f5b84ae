// config/hisho.ini [keys]: where public keys and certificates of others come from.
import type { Reader } from './ini-reader.ts'
import { authorities, type InConfig } from './source-settings.ts'

export interface KeySettings {
  /** Of the operator's own files. */
  readonly directory: string
  readonly wkd: WkdSettings | undefined
  readonly ttl: { readonly floorSeconds: number; readonly ceilingSeconds: number }
  readonly harvest: boolean
}

export interface WkdSettings {
  readonly port: number
  readonly timeoutMs: number
  readonly ca?: string
  readonly allowPrivate: boolean
}

export function parseKeySettings(read: Reader, inConfig: InConfig): KeySettings {
  const directory = read.text('keys', 'directory')
  if (directory === '') throw read.error('keys', 'directory', 'must name a directory')
  const floorSeconds = read.number('keys', 'ttl_floor', 0)
  const ceilingSeconds = read.number('keys', 'ttl_ceiling', 1)
  if (floorSeconds > ceilingSeconds) throw read.error('keys', 'ttl_floor', 'is above ttl_ceiling')
  return {
    directory: inConfig(directory),
    wkd: parseWkd(read, inConfig),
    ttl: { floorSeconds, ceilingSeconds },
    harvest: read.boolean('keys', 'harvest'),
  }
}

function parseWkd(read: Reader, inConfig: InConfig): WkdSettings | undefined {
  const port = read.number('keys', 'wkd_port', 1)
  if (port > 65_535) throw read.error('keys', 'wkd_port', 'must be at most 65535')
  const settings = {
    port,
    timeoutMs: read.number('keys', 'wkd_timeout_ms', 1),
    allowPrivate: read.boolean('keys', 'wkd_allow_private'),
  }
  if (!read.boolean('keys', 'wkd_enabled')) return undefined
  return { ...settings, ...authorities(read, inConfig, 'keys', 'wkd_ca_file') }
}
