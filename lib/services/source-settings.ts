// config/hisho.ini: where parameters may come from beside plain DNS.
import { isIP } from 'node:net'
import type { Reader } from './ini-reader.ts'

export interface DohSettings {
  readonly url: URL
  readonly address?: string
  readonly ca?: string
  readonly trusted: boolean
}

export interface WellKnownSettings {
  readonly port: number
  readonly timeoutMs: number
  readonly ca?: string
}

export type InConfig = (path: string) => string

export function parseDoh(read: Reader, inConfig: InConfig): DohSettings | undefined {
  const text = read.text('dns', 'doh_url')
  const address = read.text('dns', 'doh_address')
  const trusted = read.boolean('dns', 'doh_trusted')
  if (text === '') return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  // The rest of a URL would be sent to nobody, or to everybody's log.
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '' || url.hash !== '')
    throw read.error('dns', 'doh_url', 'must be https://, a host and a path')
  if (address !== '' && isIP(address) === 0)
    throw read.error('dns', 'doh_address', 'must be an IP address')
  return {
    url,
    trusted,
    ...(address && { address }),
    ...authorities(read, inConfig, 'dns', 'doh_ca_file'),
  }
}

export function parseWellKnown(read: Reader, inConfig: InConfig): WellKnownSettings | undefined {
  const enabled = read.boolean('well_known', 'enabled')
  const port = read.number('well_known', 'port', 1)
  const timeoutMs = read.number('well_known', 'timeout_ms', 1)
  if (port > 65_535) throw read.error('well_known', 'port', 'must be at most 65535')
  if (!enabled) return undefined
  return { port, timeoutMs, ...authorities(read, inConfig, 'well_known', 'ca_file') }
}

/** PEM from a file that the key names; nothing where it names none. */
export function authorities(
  read: Reader,
  inConfig: InConfig,
  section: string,
  key: string,
): { readonly ca?: string } {
  const file = inConfig(read.text(section, key))
  return file === '' ? {} : { ca: read.file(section, key, file) }
}
