// What several servers count and agree on in Redis, where one command is not enough: scripts, each of which happens as a whole.
import { clientFactory, type RedisConnectionOptions } from './redis-client.ts'
import { createRedisLink } from './redis-link.ts'

export interface RedisScripts {
  /** In a Cluster all keys of one call share what stands between braces. TempError cache/unreachable. */
  run(script: string, keys: readonly string[], values?: readonly string[]): Promise<unknown>
  close(): Promise<void>
}

/** Connects with the first call. */
export function createRedisScripts(options: RedisConnectionOptions): RedisScripts {
  const { keyPrefix = 'hisho:', timeoutMs = 500 } = options
  const { open, secrets } = clientFactory(options, timeoutMs)
  const link = createRedisLink({ open, secrets, timeoutMs })
  return {
    run: (script, keys, values = []) =>
      link.run((client) =>
        client.eval(script, { keys: keys.map((key) => keyPrefix + key), arguments: [...values] }),
      ),
    close: () => link.close(),
  }
}
