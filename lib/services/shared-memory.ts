// What the processes of a gateway remember together: in Redis, with a memory of their own before it, or each by itself.
import type { Cache } from '../cache/cache.ts'
import { createLayeredCache } from '../cache/layered.ts'
import { createMemoryCache } from '../cache/memory.ts'
import { createRedisCache } from '../cache/redis.ts'
import type { Clock } from '../clock.ts'
import type { Log } from './services.ts'
import type { SharedSettings } from './settings.ts'

const MEMORY_ENTRIES = 10_000
/** Public keys of others may be long. */
const MEMORY_CHARACTERS = 32 * 1024 * 1024

export function createCache({ redis }: SharedSettings, clock: Clock, log: Log): Cache {
  const memory = createMemoryCache({
    clock,
    maxEntries: MEMORY_ENTRIES,
    maxCharacters: MEMORY_CHARACTERS,
  })
  if (!redis) return memory
  const cacheLog = {
    info: (text: string) => log('notice', text),
    warn: (text: string) => log('warn', text),
  }
  return createLayeredCache({
    memory,
    redis: createRedisCache({ ...redis, clock, log: cacheLog }),
    clock,
    log: cacheLog,
  })
}
