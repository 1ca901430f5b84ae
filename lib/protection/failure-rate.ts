// Who sends much that does not open is not answered for a while: each answer would tell something about our keys.
import { isIPv6 } from 'node:net'
import type { Clock } from '../clock.ts'

export interface FailureRate {
  /** Whether so many of a peer's messages did not open within the last minute. */
  isReached(peer: string, perMinute: number): boolean
  failed(peer: string): void
}

interface Count {
  readonly since: number
  readonly failures: number
}

const MINUTE_MS = 60_000

/** Of one process. `maxPeers` bounds what is remembered. */
export function createFailureRate(clock: Clock, maxPeers = 10_000): FailureRate {
  const counts = new Map<string, Count>()
  const current = (peer: string): Count => {
    const now = clock.nowMs()
    const found = counts.get(peer)
    const age = now - (found?.since ?? 0)
    return found && age >= 0 && age < MINUTE_MS ? found : { since: now, failures: 0 }
  }
  return {
    isReached: (peer, perMinute) => perMinute > 0 && current(networkOf(peer)).failures >= perMinute,
    failed(peer) {
      const name = networkOf(peer)
      const { since, failures } = current(name)
      if (!counts.has(name) && counts.size >= maxPeers) counts.clear()
      counts.set(name, { since, failures: failures + 1 })
    },
  }
}

/** One host has a whole /64 of IPv6. */
function networkOf(peer: string): string {
  if (!isIPv6(peer) || peer.includes('.')) return peer
  const [head = '', tail] = peer.toLowerCase().split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').length
  const whole = [...groups, ...Array.from({ length: Math.max(0, missing) }, () => '0')]
  return whole
    .concat(tail?.split(':') ?? [])
    .slice(0, 4)
    .join(':')
}
