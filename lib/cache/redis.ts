// The cache that several servers share: one Redis, several under Sentinel, or a Cluster. The one importer of redis.
import { createRequire } from 'node:module'
import type { Clock } from '../clock.ts'
import { TempError } from '../errors.ts'
import type { CacheEntry, CacheLog, OnDamage, SharedCache } from './cache.ts'
import { formatEnvelope, parseEnvelope } from './redis-envelope.ts'
import { parseRedisUrl } from './redis-url.ts'
import { createRedisLink, type RedisClient } from './redis-link.ts'
import { expiresAtMs } from './ttl.ts'

export interface RedisNode {
  readonly host: string
  readonly port: number
}

/** Where Redis is. The password goes to all nodes alike; `sentinelPassword` to the sentinels. */
export type RedisTarget =
  | { readonly kind: 'single'; readonly url: string }
  | {
      readonly kind: 'sentinel'
      readonly name: string
      readonly sentinels: readonly RedisNode[]
      readonly sentinelUsername?: string
      readonly sentinelPassword?: string
      readonly database?: number
      readonly tls?: boolean
    }
  | { readonly kind: 'cluster'; readonly nodes: readonly RedisNode[]; readonly tls?: boolean }

export interface RedisCacheOptions {
  readonly target: RedisTarget
  /** Before what the URL has. */
  readonly username?: string
  /** Before what the URL has. Never in an error or a log line. */
  readonly password?: string
  /** PEM of the authorities for TLS; by default those that Node knows. */
  readonly ca?: string
  /** Before each key. Default `hisho:`. */
  readonly keyPrefix?: string
  /** How long a command may take, connecting included. Default 500. */
  readonly timeoutMs?: number
  readonly clock: Clock
  /** Default `forget`. */
  readonly onDamage?: OnDamage
  /** Told of values under our keys that we did not write. */
  readonly log?: CacheLog
}

const RETRY_MAX_MS = 2000
const PAGE_KEYS = 500
const CLAIM = '/claim'
const CLAIM_SECONDS = 30

/**
 * Connects with the first command. What goes wrong with Redis is a TempError `cache/unreachable`, in no more than
 * `timeoutMs`; a value that is not ours is reported and as good as none, unless `onDamage` says otherwise.
 */
export function createRedisCache(options: RedisCacheOptions): SharedCache {
  const { clock, log, keyPrefix = 'hisho:', timeoutMs = 500, onDamage = 'forget' } = options
  const { open, secrets } = clientFactory(options, timeoutMs)
  const link = createRedisLink({ open, secrets, timeoutMs })

  const getEntry = async (key: string): Promise<CacheEntry | undefined> => {
    const text = await link.run(async (client) => {
      try {
        return await client.get(keyPrefix + key)
      } catch (error) {
        if (isWrongType(error)) return ''
        throw error
      }
    })
    if (text === null) return undefined
    const entry = parseEnvelope(text)
    if (entry === undefined) {
      const what = `Redis holds a foreign value under ${keyPrefix}${key}`
      if (onDamage === 'fail') throw new TempError('cache/malformed', what)
      log?.warn(`cache: ${what}`)
    }
    return entry && entry.expiresAtMs > clock.nowMs() ? entry : undefined
  }

  const set = async (key: string, value: string, ttlSeconds: number): Promise<void> => {
    const text = formatEnvelope({ value, expiresAtMs: expiresAtMs(clock, ttlSeconds) })
    await link.run((client) =>
      ttlSeconds > 0
        ? client.set(keyPrefix + key, text, { EX: Math.ceil(ttlSeconds) })
        : client.del(keyPrefix + key),
    )
  }
  const setNew = async (key: string, value: string, ttlSeconds: number): Promise<boolean> => {
    const text = formatEnvelope({ value, expiresAtMs: expiresAtMs(clock, ttlSeconds) })
    if (ttlSeconds <= 0) return false
    const EX = Math.ceil(ttlSeconds)
    return (
      (await link.run((client) => client.set(keyPrefix + key, text, { EX, NX: true }))) !== null
    )
  }
  /** Of keys of one page: what is over by our clock is not there, and what is damaged is. */
  const liveOf = async (page: readonly string[]): Promise<readonly string[]> => {
    const texts = await link.run((client) => Promise.all(page.map((key) => client.get(key))))
    return page.filter((_, at) => {
      const text = texts[at]
      if (typeof text !== 'string') return false
      const entry = parseEnvelope(text)
      return entry === undefined || entry.expiresAtMs > clock.nowMs()
    })
  }

  return {
    getEntry,
    async get(key) {
      return (await getEntry(key))?.value
    },
    set,
    async setIfAbsent(key, value, ttlSeconds) {
      if (await setNew(key, value, ttlSeconds)) return true
      if (ttlSeconds <= 0 || (await getEntry(key)) !== undefined) return false
      // It is over by our clock and not yet by that of Redis: whoever has the claim replaces it.
      if (!(await setNew(`${key}${CLAIM}`, '', CLAIM_SECONDS))) return false
      const isOver = (await getEntry(key)) === undefined
      if (isOver) await set(key, value, ttlSeconds)
      await link.run((client) => client.del(`${keyPrefix}${key}${CLAIM}`))
      return isOver
    },
    async keys(prefix) {
      const found = new Set<string>()
      let pages: AsyncIterator<readonly string[]> | undefined
      for (;;) {
        const page = await link.run((client) => {
          pages ??= client.pages(`${escapeGlob(keyPrefix + prefix)}*`)
          return pages.next()
        })
        if (page.done === true) return [...found]
        for (const key of await liveOf(page.value))
          if (!key.endsWith(CLAIM)) found.add(key.slice(keyPrefix.length))
      }
    },
    async delete(key) {
      await link.run((client) => client.del(keyPrefix + key))
    },
    close: () => link.close(),
  }
}

// Loaded by the first who has a Redis: it takes longer than all the rest of hisho.
const loadRedis = (): typeof import('redis') =>
  createRequire(__filename)('redis') as typeof import('redis')

function clientFactory(
  { target, username, password, ca }: RedisCacheOptions,
  timeoutMs: number,
): { open: () => RedisClient; secrets: readonly string[] } {
  const parsed = target.kind === 'single' ? parseRedisUrl(target.url) : undefined
  const user = username ?? parsed?.username
  const secret = password ?? parsed?.password
  const credentials = {
    ...(user !== undefined && { username: user }),
    ...(secret !== undefined && { password: secret }),
  }
  const timing = {
    connectTimeout: timeoutMs,
    reconnectStrategy,
  }
  const encrypted = parsed?.tls ?? (target.kind !== 'single' && target.tls === true)
  const socket = encrypted
    ? { ...timing, tls: true as const, ...(ca !== undefined && { ca }) }
    : timing
  const common = {
    ...credentials,
    socket,
    RESP: 2 as const, // servers before Redis 6 know no other
    disableOfflineQueue: true, // who has a copy in memory does not want to queue
    commandsQueueMaxLength: 10_000,
  }
  const secrets = [secret, target.kind === 'sentinel' ? target.sentinelPassword : undefined]
  return { open: () => openClient(), secrets: secrets.filter((text) => text !== undefined) }

  function openClient(): RedisClient {
    const { createClient, createCluster, createSentinel } = loadRedis()
    if (target.kind === 'cluster') {
      const rootNodes = target.nodes.map((node) => ({ ...common, socket: { ...socket, ...node } }))
      const cluster = createCluster({ RESP: 2, rootNodes, defaults: common })
      // No node knows the keys of another.
      const pages = async function* (MATCH: string): AsyncGenerator<readonly string[]> {
        for (const master of cluster.masters)
          yield* (await cluster.nodeClient(master)).scanIterator({ MATCH, COUNT: PAGE_KEYS })
      }
      return Object.assign(cluster, { pages })
    }
    if (target.kind === 'sentinel') {
      const { name, sentinels, sentinelUsername, sentinelPassword, database = 0 } = target
      const sentinel = createSentinel({
        name,
        sentinelRootNodes: [...sentinels],
        RESP: 2,
        nodeClientOptions: { ...common, database },
        sentinelClientOptions: {
          socket,
          ...(sentinelUsername !== undefined && { username: sentinelUsername }),
          ...(sentinelPassword !== undefined && { password: sentinelPassword }),
        },
        maxCommandRediscovers: 1,
      })
      return Object.assign(sentinel, {
        pages: (MATCH: string) => sentinel.scanIterator({ MATCH, COUNT: PAGE_KEYS }),
      })
    }
    const { host = '', port = 0, database = 0 } = parsed ?? {}
    const client = createClient({ ...common, socket: { ...socket, host, port }, database })
    return Object.assign(client, {
      pages: (MATCH: string) => client.scanIterator({ MATCH, COUNT: PAGE_KEYS }),
    })
  }
}

/** A server that answers and says no (a wrong password, still loading) is asked anew by the next command. */
function reconnectStrategy(retries: number, cause: Error): number | false {
  if (cause instanceof loadRedis().ErrorReply) return false
  return Math.min(50 * 2 ** Math.min(retries, 6), RETRY_MAX_MS)
}

/** What SCAN would take for more than itself. */
function escapeGlob(text: string): string {
  return text.replaceAll(/[\\*?[\]^-]/g, '\\$&')
}

function isWrongType(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('WRONGTYPE')
}
