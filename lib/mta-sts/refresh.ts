// The daily round: policies are fetched anew long before they are over, since who can hide the new one may do so on the day
// when the old one ends. RFC 8461 sections 3.3 and 10.2.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lease } from '../cache/lease.ts'
import { TempError } from '../errors.ts'
import type { Keeper, Refreshed } from './keeper.ts'
import { within } from './waiting.ts'

export interface RefresherOptions {
  readonly keeper: Pick<Keeper, 'domains' | 'refresh' | 'trim'>
  /** Of all processes that share the store one goes the round. */
  readonly lease: Lease
  readonly log: (level: 'info' | 'warn', message: string) => void
  /** 0..1. */
  readonly random?: () => number
  /** From one round to the next, more or less; each domain is due once a day. Default one hour. */
  readonly everyMs?: number
  /** Domains at one time. Default 4. */
  readonly atOnce?: number
  /** In the store. Default 100,000. */
  readonly maxStored?: number
}

export type Round = Readonly<Record<Refreshed, number>>

export interface Refresher {
  /** One round; undefined: another process goes it. TempError cache/*. */
  run(): Promise<Round | undefined>
  /** Rounds from now on, in the background. */
  start(): void
  /** Ends the round that is under way; a fetch that does not end by itself is left alone. */
  close(): Promise<void>
}

const HOUR_MS = 3_600_000
/** Half of the time until the next round is enough for all of them. */
const SPREAD = 0.5
const MAX_PAUSE_MS = 5000
const CLOSING_MS = 2000

export function createRefresher({
  keeper,
  lease,
  log,
  random = Math.random,
  everyMs = HOUR_MS,
  atOnce = 4,
  maxStored = 100_000,
}: RefresherOptions): Refresher {
  const controller = new AbortController()
  const { signal } = controller
  let timer: NodeJS.Timeout | undefined
  let underWay: Promise<unknown> = Promise.resolve()

  const refresh = async (domain: string): Promise<Refreshed> => {
    try {
      return await keeper.refresh(domain, random())
    } catch (error) {
      // One that is damaged, or no place among the fetches: the next round. Without the store there is no round.
      if (!(error instanceof TempError) || error.code === 'cache/unreachable') throw error
      log('warn', `MTA-STS: ${domain} is not refreshed: ${error.message}`)
      return 'not-due'
    }
  }
  const goRound = async (isOurs: () => boolean): Promise<Round> => {
    const counts = {
      fetched: 0,
      failed: 0,
      'not-due': 0,
      dropped: await keeper.trim(maxStored),
      gone: 0,
    }
    const domains = shuffled(await keeper.domains(), random)
    const pauseMs = Math.min(MAX_PAUSE_MS, (everyMs * SPREAD * atOnce) / (domains.length + 1))
    const work = async (): Promise<void> => {
      for (;;) {
        const domain = domains.pop()
        if (domain === undefined || signal.aborted || !isOurs()) return
        const refreshed = await refresh(domain)
        counts[refreshed] += 1
        if (refreshed === 'fetched' || refreshed === 'failed') await pause(pauseMs)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, work))
    return counts
  }
  const pause = async (ms: number): Promise<void> => {
    try {
      await sleep(ms, undefined, { ref: false, signal })
    } catch {
      // closed
    }
  }
  const run = async (): Promise<Round | undefined> => {
    if (signal.aborted || !(await lease.take())) return undefined
    let isOurs = true
    const renewing = setInterval(
      () => {
        lease.renew().then(
          (renewed) => (isOurs = renewed),
          () => (isOurs = false),
        )
      },
      (lease.ttlSeconds * 1000) / 3,
    )
    renewing.unref()
    try {
      const round = await goRound(() => isOurs)
      const { fetched, failed, dropped } = round
      if (fetched + failed + dropped > 0)
        log(
          'info',
          `MTA-STS: ${fetched} policies refreshed, ${failed} not to be had, ${dropped} dropped`,
        )
      return round
    } finally {
      clearInterval(renewing)
      await lease.release().catch(() => {}) // it runs out by itself
    }
  }
  const schedule = (ms: number): void => {
    if (signal.aborted) return
    timer = setTimeout(() => {
      underWay = run()
        .catch((error: unknown) => log('warn', `MTA-STS: no refresh: ${messageOf(error)}`))
        .finally(() => schedule(everyMs * (0.75 + random() / 2)))
    }, ms)
    timer.unref()
  }

  return {
    run() {
      const running = run()
      underWay = running.catch(() => {})
      return running
    },
    start: () => schedule((everyMs * random()) / 4), // not all nodes at once after a restart
    async close() {
      controller.abort()
      clearTimeout(timer)
      await within(CLOSING_MS, underWay, undefined)
    },
  }
}

function shuffled(domains: readonly string[], random: () => number): string[] {
  return domains
    .map((domain) => ({ domain, at: random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ domain }) => domain)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown failure'
}
