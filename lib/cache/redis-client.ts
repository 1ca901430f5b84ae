// A client for one Redis, several under Sentinel, or a Cluster. The one importer of redis.
import { createRequire } from 'node:module'
import type { RedisClient } from './redis-link.ts'
import { parseRedisUrl } from './redis-url.ts'

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

export interface RedisConnectionOptions {
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
}

const RETRY_MAX_MS = 2000
const PAGE_KEYS = 500

// Loaded by the first who has a Redis: it takes longer than all the rest of hisho.
const loadRedis = (): typeof import('redis') =>
  createRequire(__filename)('redis') as typeof import('redis')

export function clientFactory(
  { target, username, password, ca }: RedisConnectionOptions,
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
