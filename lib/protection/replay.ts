// The memory of what came already: a ciphertext that comes once more, under another name, is not opened. A gateway that
// opens whatever is sent to it would else answer questions about the mail of others.
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { SharedCache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import { TempError } from '../errors.ts'

/** What a ciphertext came under. */
export interface Envelope {
  /** Empty: the null sender. */
  readonly sender: string
  /** As the field outside has it. */
  readonly messageId: string
}

export interface ReplayMemory {
  /**
   * `again`: the same came under the same envelope, as it does when it is sent once more, or in one copy for each recipient.
   * TempError cache/*: nobody can say.
   */
  meet(
    sealedKeyId: string,
    envelope: Envelope,
    ttlSeconds: number,
  ): Promise<'first' | 'again' | 'replay'>
}

const PREFIX = 'replay:'
/** Two processes may look at one name in the same moment: one of them has to look again. */
const TRIES = 10
const PAUSE_MS = 20

export interface ReplayMemoryOptions {
  readonly store: Pick<SharedCache, 'get' | 'setIfAbsent'>
  readonly clock: Clock
  /** Removes what is over, for a store that does not do it by itself. */
  readonly sweep?: (prefix: string) => Promise<unknown>
}

const DAY_MS = 86_400_000

/** Nothing of the message is kept but hashes. */
export function createReplayMemory({ store, clock, sweep }: ReplayMemoryOptions): ReplayMemory {
  let sweptAtMs = clock.nowMs()
  const sweepDaily = (): void => {
    if (!sweep || clock.nowMs() - sweptAtMs < DAY_MS) return
    sweptAtMs = clock.nowMs()
    sweep(PREFIX).catch(() => {}) // tomorrow again
  }
  return {
    async meet(sealedKeyId, envelope, ttlSeconds) {
      sweepDaily()
      const key = PREFIX + hash(sealedKeyId)
      // The recipients are not in it: whoever is not named in the ciphertext does not get it opened anyway.
      const value = hash(JSON.stringify([envelope.sender.toLowerCase(), envelope.messageId]))
      for (let tries = 0; tries < TRIES; tries++) {
        if (await store.setIfAbsent(key, value, ttlSeconds)) return 'first'
        const known = await store.get(key)
        if (known !== undefined) return known === value ? 'again' : 'replay'
        await pause(PAUSE_MS)
      }
      throw new TempError('cache/unreachable', 'the memory of what came already is busy')
    },
  }
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
