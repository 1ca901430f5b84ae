// config/hisho.ini: what all plugins share, checked. A value that is none is refused at start, with its section and key.
import { availableParallelism } from 'node:os'
import type { RedisNode, RedisTarget } from '../cache/redis.ts'
import { reader, type Ini, type Reader } from './ini-reader.ts'
import { parseKeySettings, type KeySettings } from './key-settings.ts'
import { parseKgcSettings, type KgcSettings } from './kgc-settings.ts'
import { parseSmimeSettings, type SmimeSettings } from './smime-settings.ts'
import {
  parseDoh,
  parseWellKnown,
  type DohSettings,
  type WellKnownSettings,
} from './source-settings.ts'
import { inConfigOf, parseDelivery, type DeliverySettings } from './delivery-settings.ts'
import { parseServer, systemServers, type DnsServer } from '../dns/servers.ts'

export interface SharedSettings {
  readonly tableFile: string
  readonly vaultFile: string
  readonly passphraseFile: string
  /** Where is remembered what is for good, when there is no Redis. */
  readonly storeDirectory: string
  /** Mail that waits for a key. */
  readonly held: HeldSettings
  /** How long is remembered that a message came encrypted. */
  readonly threadDays: number
  readonly workers: number
  readonly workerQueue: number
  readonly dns: {
    readonly servers: readonly DnsServer[]
    readonly timeoutMs: number
    readonly tries: number
  }
  /** A resolver that is asked over HTTPS. */
  readonly doh: DohSettings | undefined
  readonly wellKnown: WellKnownSettings | undefined
  /** Public keys and certificates of others. */
  readonly correspondents: KeySettings
  readonly smime: SmimeSettings
  readonly ttl: { readonly floorSeconds: number; readonly ceilingSeconds: number }
  /** Whether mail may be sent in the paper's own format where a domain publishes nothing newer. */
  readonly allowBb2: boolean
  /** Whether a ciphertext for the key of a whole domain is opened although it names nobody. */
  readonly opensUnbound: boolean
  readonly redis: RedisSettings | undefined
  readonly delivery: DeliverySettings
  /** Where identity keys come from in place of a vault. */
  readonly kgc: KgcSettings | undefined
}

export interface HeldSettings {
  readonly directory: string
  /** After that it is returned. */
  readonly days: number
  readonly retrySeconds: number
}

export interface RedisSettings {
  readonly target: RedisTarget
  readonly username?: string
  readonly password?: string
  readonly ca?: string
  readonly keyPrefix: string
  readonly timeoutMs: number
}

/** `configDirectory` is Haraka's. PermError haraka/settings names file, section and key. */
export function parseSharedSettings(ini: Ini, configDirectory: string): SharedSettings {
  const read = reader('hisho.ini', ini)
  const inConfig = inConfigOf(configDirectory)
  const workers = read.number('main', 'workers', 0)
  const floorSeconds = read.number('parameters', 'ttl_floor', 0)
  const ceilingSeconds = read.number('parameters', 'ttl_ceiling', 1)
  if (floorSeconds > ceilingSeconds)
    throw read.error('parameters', 'ttl_floor', 'is above ttl_ceiling')
  return {
    tableFile: inConfig(read.text('main', 'table')),
    vaultFile: inConfig(read.text('main', 'vault')),
    passphraseFile: inConfig(read.text('main', 'passphrase_file')),
    storeDirectory: inConfig(directoryName(read, 'main', 'store')),
    held: {
      directory: inConfig(directoryName(read, 'held', 'directory')),
      days: read.number('held', 'days', 1),
      retrySeconds: read.number('held', 'retry_seconds', 1),
    },
    threadDays: read.number('threads', 'remember_days', 0),
    workers: workers === 0 ? Math.min(4, Math.max(1, availableParallelism() - 1)) : workers,
    workerQueue: read.number('main', 'worker_queue', 1),
    dns: {
      servers: dnsServers(read),
      timeoutMs: read.number('dns', 'timeout_ms', 1),
      tries: read.number('dns', 'tries', 1),
    },
    doh: parseDoh(read, inConfig),
    wellKnown: parseWellKnown(read, inConfig),
    correspondents: parseKeySettings(read, inConfig),
    smime: parseSmimeSettings(read, inConfig),
    ttl: { floorSeconds, ceilingSeconds },
    allowBb2: read.boolean('parameters', 'allow_bb2'),
    opensUnbound: read.boolean('opening', 'open_unbound'),
    redis: redisSettings(read, inConfig),
    delivery: parseDelivery(read, inConfig),
    kgc: parseKgcSettings(read, inConfig),
  }
}

function directoryName(read: Reader, section: string, key: string): string {
  const name = read.text(section, key)
  if (name === '') throw read.error(section, key, 'must name a directory')
  return name
}

function dnsServers(read: Reader): readonly DnsServer[] {
  const trusted = new Set(
    read.list('dns', 'trusted').map((text) => parseServer(text, 'hisho.ini [dns] trusted').address),
  )
  const named = read
    .list('dns', 'servers')
    .map((text) => parseServer(text, 'hisho.ini [dns] servers'))
  const servers = named.length > 0 ? named : systemServers()
  return servers.map((server) =>
    trusted.has(server.address) ? { ...server, trusted: true } : server,
  )
}

function redisSettings(
  read: Reader,
  inConfig: (path: string) => string,
): RedisSettings | undefined {
  const target = redisTarget(read)
  if (!target) return undefined
  const username = read.text('redis', 'username')
  const password = read.text('redis', 'password')
  const caFile = inConfig(read.text('redis', 'ca_file'))
  return {
    target,
    ...(username && { username }),
    ...(password && { password }),
    ...(caFile && { ca: read.file('redis', 'ca_file', caFile) }),
    keyPrefix: read.text('redis', 'key_prefix'),
    timeoutMs: read.number('redis', 'timeout_ms', 1),
  }
}

function redisTarget(read: Reader): RedisTarget | undefined {
  const tls = read.boolean('redis', 'tls')
  const sentinels = nodes(read, 'sentinels')
  if (sentinels.length > 0) {
    const name = read.text('redis', 'sentinel_name')
    if (name === '') throw read.error('redis', 'sentinel_name', 'is missing, with sentinels given')
    return { kind: 'sentinel', name, sentinels, database: read.number('redis', 'database', 0), tls }
  }
  const cluster = nodes(read, 'cluster')
  if (cluster.length > 0) return { kind: 'cluster', nodes: cluster, tls }
  const url = read.text('redis', 'url')
  if (url === '') return undefined
  if (!/^rediss?:\/\/./.test(url))
    throw read.error('redis', 'url', 'must begin with redis:// or rediss://')
  return { kind: 'single', url }
}

function nodes(read: Reader, key: string): RedisNode[] {
  return read.list('redis', key).map((text) => {
    const match = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text)
    if (!match || Number(match[2]) > 65_535 || Number(match[2]) === 0)
      throw read.error('redis', key, 'must be host:port, separated by commas')
    return { host: match[1]!, port: Number(match[2]) }
  })
}
