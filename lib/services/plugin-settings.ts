// The ini of each plugin, checked.
import { BlockList, isIP, isIPv6 } from 'node:net'
import type { Triggers } from '../protection/trigger.ts'
import { reader, type Ini, type Reader } from './ini-reader.ts'

export interface EncryptSettings {
  readonly enabled: boolean
  /** What senders of ours may write to have a message encrypted. */
  readonly triggers: Triggers
}

export function parseEncryptSettings(ini: Ini): EncryptSettings {
  const read = reader('hisho.encrypt.ini', ini)
  return {
    enabled: read.boolean('main', 'enabled'),
    triggers: {
      subjects: read.list('trigger', 'subject'),
      headers: read.list('trigger', 'header').map((text) => {
        const [, name, value] = /^([!-9;-~]+)[ \t]*:[ \t]*(.+)$/.exec(text) ?? []
        if (name === undefined || value === undefined)
          throw read.error('trigger', 'header', `${text} is no "Name: value"`)
        return { name: name.toLowerCase(), value: value.toLowerCase() }
      }),
    },
  }
}

export { parseDecryptSettings, type DecryptSettings } from './decrypt-settings.ts'

export interface SignSettings {
  readonly enabled: boolean
  /** Hosts whose mail is signed without SMTP AUTH. */
  readonly relayNetworks: BlockList
  readonly onFailure: 'defer' | 'send_unsigned'
}

export function parseSignSettings(ini: Ini): SignSettings {
  const read = reader('hisho.sign.ini', ini)
  const relayNetworks = new BlockList()
  for (const text of read.list('main', 'relay_networks'))
    addNetwork(relayNetworks, text, read, 'relay_networks')
  const onFailure = read.text('main', 'on_failure')
  if (onFailure !== 'defer' && onFailure !== 'send_unsigned')
    throw read.error('main', 'on_failure', 'must be defer or send_unsigned')
  return { enabled: read.boolean('main', 'enabled'), relayNetworks, onFailure }
}

/** `192.0.2.0/24`, `2001:db8::/32`, or one address. */
export function addNetwork(networks: BlockList, text: string, read: Reader, key: string): void {
  const [, address = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  const bits = family === 'ipv6' ? 128 : 32
  if (isIP(address) === 0 || Number(prefix ?? bits) > bits)
    throw read.error('main', key, `${text} is no network`)
  networks.addSubnet(address, Number(prefix ?? bits), family)
}

export interface VerifySettings {
  readonly enabled: boolean
}

export function parseVerifySettings(ini: Ini): VerifySettings {
  return { enabled: reader('hisho.verify.ini', ini).boolean('main', 'enabled') }
}

export interface WellKnownPluginSettings {
  readonly enabled: boolean
  /** X-Forwarded-Host counts in place of Host. */
  readonly trustForwardedHost: boolean
}

export function parseWellKnownPluginSettings(ini: Ini): WellKnownPluginSettings {
  const read = reader('hisho.well_known.ini', ini)
  return {
    enabled: read.boolean('main', 'enabled'),
    trustForwardedHost: read.boolean('main', 'trust_forwarded_host'),
  }
}
