// Which key of an address was used first, for good: another one in its place is not believed until the operator does.
// Losing it is losing what was learnt, so rubbish here is a failure and not an absence.
import type { SharedCache } from '../cache/cache.ts'
import { TempError } from '../errors.ts'
import {
  KEY_SOURCES,
  type KeyKind,
  type KeySourceName,
  type PublicKey,
} from '../mail/correspondent-keys.ts'
import { entriesOf, listOf, plainKey, readKey, textOf, type SourceKey } from './finding.ts'

/** The operator's files are his word already. */
export type PinnedSource = Exclude<KeySourceName, 'operator'>

export interface Pin {
  readonly source: PinnedSource
  /** ISO 8601, UTC. */
  readonly since: string
  /** By the operator's word. */
  readonly accepted: boolean
  /** At least one. */
  readonly keys: readonly SourceKey[]
  /** What came later and is not believed. */
  readonly pending: readonly PendingKey[]
}

export interface PendingKey {
  readonly key: SourceKey
  readonly source: PinnedSource
  readonly since: string
}

export interface PinnedAddress {
  readonly kind: KeyKind
  readonly address: string
}

/** All: TempError cache/unreachable or cache/malformed: nobody can say. */
export interface Pins {
  recall(pinned: PinnedAddress): Promise<Pin | undefined>
  /** Whether it was: not if there is one already. */
  pinFirst(pinned: PinnedAddress, pin: Pin): Promise<boolean>
  write(pinned: PinnedAddress, pin: Pin): Promise<void>
  forget(pinned: PinnedAddress): Promise<void>
  list(): Promise<readonly PinnedAddress[]>
}

const FOR_GOOD_SECONDS = 100 * 31_557_600
const PREFIX = 'keys/pin/'
const KINDS = ['openpgp', 'smime'] as const satisfies readonly KeyKind[]

export function createPins(store: SharedCache): Pins {
  const keyOf = ({ kind, address }: PinnedAddress): string => `${PREFIX}${kind}/${address}`
  return {
    async recall(pinned) {
      const text = await store.get(keyOf(pinned))
      return text === undefined ? undefined : parsePin(pinned.address, text)
    },
    pinFirst: (pinned, pin) => store.setIfAbsent(keyOf(pinned), formatPin(pin), FOR_GOOD_SECONDS),
    write: (pinned, pin) => store.set(keyOf(pinned), formatPin(pin), FOR_GOOD_SECONDS),
    forget: (pinned) => store.delete(keyOf(pinned)),
    async list() {
      const keys = await store.keys(PREFIX)
      return keys
        .map((key) => key.slice(PREFIX.length))
        .toSorted()
        .flatMap((name) =>
          KINDS.filter((kind) => name.startsWith(`${kind}/`)).map((kind) => ({
            kind,
            address: name.slice(kind.length + 1),
          })),
        )
    },
  }
}

/** Whether two are one key, in the midst of its life or renewed. */
export function isSameKey(one: PublicKey, other: PublicKey): boolean {
  return (one.lasting ?? one.fingerprint) === (other.lasting ?? other.fingerprint)
}

export function formatPin({ keys, pending, ...rest }: Pin): string {
  return JSON.stringify({
    version: 1,
    ...rest,
    keys: keys.map(plainKey),
    pending: pending.map(({ key, ...other }) => ({ ...other, key: plainKey(key) })),
  })
}

/** TempError cache/malformed for what we did not write. */
export function parsePin(address: string, text: string): Pin {
  try {
    const { version, source, since, accepted, keys, pending } = entriesOf(JSON.parse(text))
    if (version !== 1 || typeof accepted !== 'boolean' || listOf(keys).length === 0)
      throw new TypeError('not as we write it')
    return {
      source: readSource(source),
      since: textOf(since),
      accepted,
      keys: listOf(keys).map(readKey),
      pending: listOf(pending).map((one) => {
        const { key, ...other } = entriesOf(one)
        const from = readSource(other['source'])
        return { key: readKey(key), source: from, since: textOf(other['since']) }
      }),
    }
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof SyntaxError)) throw cause
    const what = `what is remembered of the key of ${address} is damaged`
    throw new TempError('cache/malformed', what, { cause })
  }
}

function readSource(value: unknown): PinnedSource {
  const source = KEY_SOURCES.find((name) => name === value)
  if (source === undefined || source === 'operator') throw new TypeError('no source')
  return source
}
