// Who is asked for the parameters of other domains, and where is kept what was learnt of them.
import { join } from 'node:path'
import type { SharedCache } from '../cache/cache.ts'
import { createFileCache } from '../cache/file.ts'
import { createRedisCache } from '../cache/redis.ts'
import type { Clock } from '../clock.ts'
import { resolveAddresses } from '../dns/addresses.ts'
import { createDohResolver } from '../dns/doh.ts'
import type { Resolver } from '../dns/resolver.ts'
import { createTextClient } from '../http/fetch-text.ts'
import type { SourcesOptions } from '../ibe/directory/sources.ts'
import { createThreads, type Threads } from '../protection/threads.ts'
import { createReplayMemory, type ReplayMemory } from '../protection/replay.ts'
import type { SharedSettings } from './settings.ts'

/** Cache and memory, each read and written. */
const REDIS_COMMANDS = 4

export interface ParameterSources extends Pick<SourcesOptions, 'resolver' | 'doh' | 'wellKnown'> {
  /** The longest that asking all of them, and remembering it, may take. */
  readonly lookupMs: number
  close(): void
}

export function createParameterSources(
  { dns, doh, wellKnown, redis }: SharedSettings,
  resolver: Resolver,
): ParameterSources {
  const addressesOf = (host: string, signal?: AbortSignal) =>
    resolveAddresses(resolver, host, signal)
  const { timeoutMs, tries } = dns
  const overHttps =
    doh &&
    createDohResolver({
      ...doh,
      timeoutMs,
      tries,
      addressesOf: async (host, signal) =>
        doh.address ? [doh.address] : addressesOf(host, signal),
    })
  const fetchText = wellKnown && createTextClient({ ...wellKnown, addressesOf })
  return {
    resolver,
    ...(overHttps && { doh: overHttps }),
    ...(fetchText && {
      wellKnown: (domain: string) => fetchText(`ibemail.${domain}`, '/.well-known/ibemail.txt'),
    }),
    lookupMs:
      timeoutMs * tries * dns.servers.length +
      (doh ? timeoutMs * tries : 0) +
      (wellKnown?.timeoutMs ?? 0) +
      REDIS_COMMANDS * (redis?.timeoutMs ?? 0),
    close: () => overHttps?.close(),
  }
}

/** What was opened, of which there is much: what a power cut takes of it is no great loss. */
export function createReplays(
  { redis, storeDirectory }: SharedSettings,
  store: SharedCache,
  clock: Clock,
): ReplayMemory {
  if (redis) return createReplayMemory({ store, clock })
  const files = createFileCache({
    directory: join(storeDirectory, 'opened'),
    clock,
    lasting: false,
  })
  return createReplayMemory({ store: files, clock, sweep: (prefix) => files.keys(prefix) })
}

/** Not layered and not forgiving: "never seen" must be true. */
export function createStore({ redis, storeDirectory }: SharedSettings, clock: Clock): SharedCache {
  return redis
    ? createRedisCache({ ...redis, clock, onDamage: 'fail' })
    : createFileCache({ directory: storeDirectory, clock, onDamage: 'fail' })
}

/** Which messages came encrypted: of these there is much too. */
export function createThreadMemory(
  { redis, storeDirectory, threadDays: days }: SharedSettings,
  store: SharedCache,
  clock: Clock,
  log: (level: 'warn', message: string) => void,
): Threads {
  if (redis) return createThreads({ store, days, log })
  const files = createFileCache({
    directory: join(storeDirectory, 'threads'),
    clock,
    lasting: false,
  })
  return createThreads({ store: files, days, log, sweep: (prefix) => files.keys(prefix) })
}
