// A connection to Redis that is opened when needed, bounded in time, and given up when it stays silent.
import { TempError } from '../errors.ts'

/** The commands that we use, and what the three kinds of client have in common. */
export interface RedisClient {
  readonly isReady: boolean
  /** Connected, or trying to be. */
  readonly isOpen: boolean
  get(key: string): Promise<string | null>
  set(key: string, value: string, options: { EX: number; NX?: true }): Promise<unknown>
  /** The keys that a pattern of SCAN fits, page by page; some may come twice. */
  pages(pattern: string): AsyncIterator<readonly string[]>
  del(key: string): Promise<unknown>
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  connect(): Promise<unknown>
  close(): Promise<unknown>
  destroy(): unknown
  on(event: 'error', listener: (error: unknown) => void): unknown
}

export interface RedisLinkOptions {
  readonly open: () => RedisClient
  /** Struck out of every error: a server may quote a command that it does not know, AUTH included. */
  readonly secrets: readonly string[]
  readonly timeoutMs: number
}

export interface RedisLink {
  /** Throws nothing but TempErrors, after `timeoutMs` at the latest. */
  run<T>(command: (client: RedisClient) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** A connection whose other end is gone without a word is only ever known by its silence. */
const MAX_SILENCES = 3

export function createRedisLink({ open, secrets, timeoutMs }: RedisLinkOptions): RedisLink {
  let current: { client: RedisClient; ready: Promise<unknown> } | undefined
  let lastError: unknown
  let silences = 0
  let closed = false

  const connect = (): NonNullable<typeof current> => {
    const client = open()
    // Without a listener the event would end the process.
    client.on('error', (error) => {
      lastError = error
    })
    const link = { client, ready: client.connect() }
    link.ready.catch((error: unknown) => {
      lastError = error
      drop(link)
    })
    current = link
    return link
  }
  const drop = (link: typeof current): void => {
    if (link === undefined) return
    if (current === link) current = undefined
    silences = 0
    void attempt(async () => link.client.destroy())
  }
  const failure = (what: string, error: unknown): TempError => {
    const detail = error instanceof Error ? `: ${error.message || error.name}` : ''
    return new TempError('cache/unreachable', secrets.reduce(strike, `Redis ${what}${detail}`))
  }

  return {
    async run(command) {
      if (closed) throw new TempError('cache/unreachable', 'the Redis cache is closed')
      const link = current ?? connect()
      const work = link.ready.then(() => command(link.client))
      try {
        const result = await within(timeoutMs, work)
        silences = 0
        return result
      } catch (error) {
        if (!link.client.isOpen) drop(link)
        if (error !== TIMED_OUT) throw failure('failed', error)
        silences += 1
        if (silences >= MAX_SILENCES) drop(link)
        throw failure(`gave no answer in ${timeoutMs} ms`, link.client.isReady ? null : lastError)
      }
    },
    async close() {
      closed = true
      const link = current
      current = undefined
      if (link === undefined) return
      if (link.client.isReady) await attempt(() => within(timeoutMs, link.client.close()))
      await attempt(async () => link.client.destroy())
    },
  }
}

const TIMED_OUT = Symbol('timed out')

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(TIMED_OUT), milliseconds)
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** For what may fail because it is over already. */
async function attempt(action: () => Promise<unknown>): Promise<void> {
  try {
    await action()
  } catch {
    // closed, or never open
  }
}

function strike(text: string, secret: string): string {
  return secret === '' ? text : text.replaceAll(secret, '***')
}
