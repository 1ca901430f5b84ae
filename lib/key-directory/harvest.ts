// Keys that came with well signed mail: the last one of each address, for a year after it was last seen. Bounded in number,
// since anybody can sign mail.
import { createHash } from 'node:crypto'
import type { SharedCache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import { PermError } from '../errors.ts'
import type { KeyFormat, PublicKey } from '../mail/correspondent-keys.ts'
import { formatHeld, parseHeld, type Finding, type Held } from './finding.ts'

export interface HarvestOptions {
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: (level: 'notice' | 'warn', message: string) => void
  /** Default 10,000. */
  readonly maxAddresses?: number
}

export interface Harvest {
  find(format: KeyFormat, address: string): Promise<Held>
  /** PermError: no key of this address is in it. */
  keep(format: KeyFormat, address: string, bytes: Uint8Array): Promise<void>
  forget(format: KeyFormat, address: string): Promise<void>
}

const PREFIX = 'keys/harvested/'
const YEAR_SECONDS = 31_557_600
/** Said again so seldom that a lively correspondence does not wear out the disk. */
const SEEN_AGAIN_MS = 7 * 86_400_000
const MAX_BYTES = 32 * 1024
const COUNT_AGAIN_MS = 3_600_000
/** For so long a process does not look again at what came once more. */
const JUST_SEEN_MS = 3_600_000
const MOST_JUST_SEEN = 1000

export function createHarvest(options: HarvestOptions): Harvest {
  const { store, clock, log, maxAddresses = 10_000 } = options
  let counted: { readonly atMs: number; number: number } | undefined
  const justSeen = new Map<string, { readonly digest: string; readonly atMs: number }>()
  const keyOf = ({ kind }: KeyFormat, address: string): string => `${PREFIX}${kind}/${address}`

  const isFull = async (): Promise<boolean> => {
    if (!counted || clock.nowMs() - counted.atMs > COUNT_AGAIN_MS) {
      counted = { atMs: clock.nowMs(), number: (await store.keys(PREFIX)).length }
      if (counted.number >= maxAddresses)
        log('warn', `keys of ${counted.number} addresses came with mail: no more are kept`)
    }
    return counted.number >= maxAddresses
  }
  const isJustSeen = (key: string, digest: string): boolean => {
    const seen = justSeen.get(key)
    return seen?.digest === digest && clock.nowMs() - seen.atMs < JUST_SEEN_MS
  }
  const see = (key: string, digest: string): void => {
    justSeen.delete(key) // and to the end
    justSeen.set(key, { digest, atMs: clock.nowMs() })
    const [oldest] = justSeen.keys()
    if (justSeen.size > MOST_JUST_SEEN && oldest !== undefined) justSeen.delete(oldest)
  }
  const recall = async (key: string): Promise<Held | undefined> => {
    const text = await store.get(key)
    return text === undefined ? undefined : parseHeld(text)
  }

  return {
    async find(format, address) {
      const nothing: Finding = { status: 'none', authentic: false }
      return (await recall(keyOf(format, address))) ?? { finding: nothing, untilMs: clock.nowMs() }
    },
    async keep(format, address, bytes) {
      const key = keyOf(format, address)
      const digest = createHash('sha256').update(bytes).digest('base64')
      if (isJustSeen(key, digest)) return
      const nowMs = clock.nowMs()
      const [own] = await ownKeys(format, address, bytes)
      if (!own) throw new PermError('keys/untrusted', `no key in it is of ${address}`)
      if (own.bytes.length > MAX_BYTES)
        throw new PermError('keys/untrusted', `the key of ${address} is too long to be kept`)
      const held = await recall(key)
      const known = held?.finding.status === 'found' ? held.finding.keys[0] : undefined
      const isKnown = known && Buffer.compare(known.bytes, own.bytes) === 0
      const seenMs = (held?.untilMs ?? 0) - YEAR_SECONDS * 1000
      if (isKnown && nowMs - seenMs < SEEN_AGAIN_MS) return see(key, digest)
      if (!known) {
        if (await isFull()) return
        if (counted) counted.number += 1
      }
      if (!isKnown)
        log('notice', `${address}: ${format.kind} key ${own.fingerprint} came with its mail`)
      const untilMs = nowMs + YEAR_SECONDS * 1000
      const finding: Finding = { status: 'found', keys: [own] }
      await store.set(key, formatHeld({ finding, untilMs }), YEAR_SECONDS)
      see(key, digest)
    },
    async forget(format, address) {
      justSeen.delete(keyOf(format, address))
      await store.delete(keyOf(format, address))
    },
  }
}

async function ownKeys(
  format: KeyFormat,
  address: string,
  bytes: Uint8Array,
): Promise<readonly PublicKey[]> {
  const keys = await format.read(bytes)
  return keys.filter(({ addresses }) => addresses.includes(address))
}
