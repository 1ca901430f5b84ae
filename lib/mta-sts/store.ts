// The policies that are kept: for good in a store that several processes share, and for a minute at hand in this one. A
// store that is away costs nothing that is known here.
import type { SharedCache } from '../cache/cache.ts'
import { createSingleFlight } from '../cache/single-flight.ts'
import type { Clock } from '../clock.ts'
import { TempError } from '../errors.ts'
import {
  BACK_OFF_MS,
  expiryMs,
  formatEntry,
  livePolicy,
  merge,
  NOTHING,
  parseEntry,
  type Entry,
} from './entry.ts'
import { createPolicyMemory, type MemoryLimits } from './memory.ts'

export interface PolicyStoreOptions extends MemoryLimits {
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: (level: 'info' | 'warn', message: string) => void
}

export interface PolicyStore {
  /** TempError cache/*: nobody can say. `anew`: what another process has written a moment ago counts too. */
  recall(domain: string, how: 'at-hand' | 'anew'): Promise<Entry>
  /** What the store cannot take is kept here, and written when the store is back. */
  keep(domain: string, entry: Entry): Promise<void>
  /** For this process; another one that has it at hand may write it again. */
  forget(domain: string): Promise<void>
  /** For all of them: TempError cache/* where it cannot be written. */
  purge(domain: string): Promise<void>
  /** Once a day for each domain, and nobody waits for it. */
  noteUse(domain: string): void
  lastUsedMs(domain: string): Promise<number | undefined>
  /** Past memory. */
  peek(domain: string): Promise<Entry>
  domains(): Promise<readonly string[]>
  /** When what is to be written is written. */
  settle(): Promise<void>
}

const POLICY_PREFIX = 'mta-sts/policy/'
const USED_PREFIX = 'mta-sts/used/'
/** So old may be what another process has changed in the meantime. */
const AT_HAND_MS = 60_000
const NOTED_EVERY_MS = 86_400_000
/** What is over stays that long, so that nobody takes what it replaced for the newest. */
const LEAST_TTL_MS = 86_400_000
/** By then every process has asked for it, or has it no more. */
const PURGED_MS = 30 * 86_400_000
/** Longer than a use counts, so that "long ago" and "lost" are two things. */
const USED_TTL_SECONDS = 2 * 31_557_600

export function createPolicyStore(options: PolicyStoreOptions): PolicyStore {
  const { store, clock, log } = options
  const memory = createPolicyMemory(options)
  const reads = createSingleFlight<Entry>()
  const writes = new Set<Promise<void>>()
  let isAway = false

  /** Said once when the store is away, and once when it is back. */
  const reaching = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      const result = await work()
      if (isAway) log('info', 'MTA-STS: the store of policies is back')
      isAway = false
      return result
    } catch (error) {
      if (error instanceof TempError && error.code === 'cache/unreachable' && !isAway) {
        log('warn', `MTA-STS: the store of policies cannot be used: ${error.message}`)
        isAway = true
      }
      throw error
    }
  }
  const peek = async (domain: string): Promise<Entry> => {
    const value = await reaching(() => store.get(POLICY_PREFIX + domain))
    return value === undefined ? NOTHING : parseEntry(domain, value)
  }
  const hold = (domain: string, entry: Entry): void => {
    const notedAtMs = memory.get(domain)?.notedAtMs
    memory.set(domain, { entry, checkedAtMs: clock.nowMs(), notedAtMs })
  }
  const write = async (domain: string, entry: Entry): Promise<void> => {
    const nowMs = clock.nowMs()
    const untilMs = Math.max(
      nowMs + LEAST_TTL_MS,
      entry.fetched ? expiryMs(entry.fetched) : 0,
      (entry.purgedAtMs ?? 0) + PURGED_MS,
      ...entry.failures.map(({ atMs }) => atMs + BACK_OFF_MS),
    )
    const ttlSeconds = (untilMs - nowMs) / 1000
    await reaching(() => store.set(POLICY_PREFIX + domain, formatEntry(entry), ttlSeconds))
  }
  const keep = async (domain: string, entry: Entry): Promise<void> => {
    hold(domain, entry)
    try {
      await write(domain, entry)
    } catch (error) {
      if (!(error instanceof TempError)) throw error // said already, and tried again with the next read
    }
  }
  const read = async (domain: string): Promise<Entry> => {
    const known = memory.get(domain)?.entry ?? NOTHING
    let stored: Entry
    try {
      stored = await peek(domain)
    } catch (error) {
      if (!(error instanceof TempError) || !livePolicy(known, clock.nowMs())) throw error
      hold(domain, known)
      return known
    }
    const entry = merge(memory.get(domain)?.entry ?? NOTHING, stored)
    hold(domain, entry)
    // The store was away when it should have been written, or has lost it.
    const isLost = entry.fetched && entry.fetched.fetchedAtMs !== stored.fetched?.fetchedAtMs
    if (isLost) await keep(domain, entry)
    return entry
  }
  const inBackground = (work: () => Promise<void>): void => {
    const write = work()
      .catch((error: unknown) => {
        if (!(error instanceof TempError)) log('warn', `MTA-STS: ${String(error)}`)
      })
      .finally(() => writes.delete(write))
    writes.add(write)
  }

  return {
    async recall(domain, how) {
      const held = memory.get(domain)
      const age = held ? Math.abs(clock.nowMs() - held.checkedAtMs) : Infinity
      if (held && how === 'at-hand' && age < AT_HAND_MS) return held.entry
      return reads.fetchOnce(domain, () => read(domain))
    },
    keep,
    async forget(domain) {
      memory.delete(domain)
      await reaching(() => store.delete(POLICY_PREFIX + domain))
      await reaching(() => store.delete(USED_PREFIX + domain))
    },
    async purge(domain) {
      const entry = { ...NOTHING, purgedAtMs: clock.nowMs() }
      hold(domain, entry)
      await write(domain, entry)
    },
    noteUse(domain) {
      const nowMs = clock.nowMs()
      const held = memory.get(domain)
      if (held?.notedAtMs !== undefined && nowMs - held.notedAtMs < NOTED_EVERY_MS) return
      if (held) memory.set(domain, { ...held, notedAtMs: nowMs })
      inBackground(() =>
        reaching(() => store.set(USED_PREFIX + domain, String(nowMs), USED_TTL_SECONDS)),
      )
    },
    async lastUsedMs(domain) {
      const value = await reaching(() => store.get(USED_PREFIX + domain))
      return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined
    },
    peek,
    async domains() {
      const keys = await reaching(() => store.keys(POLICY_PREFIX))
      return keys.map((key) => key.slice(POLICY_PREFIX.length))
    },
    async settle() {
      await Promise.all(writes)
    },
  }
}
