// What a key that was found is worth beside the one that is pinned. docs/keys.md.
import { KEY_SOURCES, type FoundKey, type KeySourceName } from '../mail/correspondent-keys.ts'
import type { SourceKey } from './finding.ts'
import { isSameKey, type PendingKey, type Pin, type PinnedSource } from './pins.ts'

export interface Evidence {
  readonly source: PinnedSource
  /** At least one. */
  readonly keys: readonly SourceKey[]
  readonly untilMs: number
}

export interface Verdict {
  readonly keys: readonly FoundKey[]
  /** To be remembered. undefined: as it is. */
  readonly pin?: Pin
  /** For the operator, once. */
  readonly alert?: string
}

const HARVESTED = 'it came in signed mail only'
const MAX_PENDING = 4

/** Something was found. */
export function judge(pin: Pin | undefined, evidence: Evidence, nowMs: number): Verdict {
  const { source, keys } = evidence
  const since = new Date(nowMs).toISOString()
  if (!pin) return { keys: asFound(evidence, keys, undefined), pin: firstPin(evidence, since) }
  const known = keys.filter((key) => pin.keys.some((one) => isSameKey(one, key)))
  const others = keys.filter((key) => !known.includes(key))
  // Nothing vouched for it, so that there is nothing to defend against what is vouched for.
  const isWeak = pin.source === 'harvested' && !pin.accepted && source !== 'harvested'
  if (known.length === 0 && isWeak) {
    const alert = `the key ${names(keys)} of ${source} takes the place of ${names(pin.keys)}, which came in mail`
    return { keys: asFound(evidence, keys, undefined), pin: firstPin(evidence, since), alert }
  }
  const fresh = others.filter(
    (key) => !pin.pending.some((one) => one.key.fingerprint === key.fingerprint),
  )
  const pending = [
    ...pin.pending,
    ...fresh.map((key): PendingKey => ({ key, source, since })),
  ].slice(-MAX_PENDING)
  const alert =
    fresh.length > 0
      ? `${source} has another key, ${names(fresh)}; ${names(pin.keys)} stays in use (hisho keys accept)`
      : undefined
  const renewed = renewedPin({ ...pin, pending }, evidence, known)
  const remembered = {
    ...(renewed || fresh.length > 0 ? { pin: renewed ?? { ...pin, pending } } : {}),
    ...(alert !== undefined && { alert }),
  }
  if (known.length > 0) return { keys: asFound(evidence, known, pin), ...remembered }
  const reason = `another key is pinned, and ${source} has ${names(others)}`
  const valid = pin.keys.filter((key) => !isExpired(key, nowMs))
  const used =
    valid.length > 0 ? asPinned(pin, valid, reason) : asPinned({ source }, others, reason)
  return { keys: used, ...remembered }
}

/** Nothing was found. What can be proven is believed; else the pinned key stays in use, marked. */
export function judgeAbsence(
  pin: Pin | undefined,
  absences: ReadonlyMap<KeySourceName, { readonly authentic: boolean }>,
  nowMs: number,
): readonly FoundKey[] {
  const absence = pin && absences.get(pin.source)
  if (!pin || !absence || absence.authentic) return []
  const valid = pin.keys.filter((key) => !isExpired(key, nowMs))
  // It came with mail, the operator has said yes, and no mail came since.
  if (pin.source === 'harvested' && pin.accepted)
    return valid.map((key) => ({ ...key, source: 'operator', isOfDomain: false }))
  return asPinned(pin, valid, `it is not found at its source (${pin.source}) any more`)
}

function isExpired({ expires }: SourceKey, nowMs: number): boolean {
  return expires !== undefined && Date.parse(expires) <= nowMs
}

/** A renewed key replaces what is remembered of it, and a better source the one that it had. */
function renewedPin(
  pin: Pin,
  { source, keys: all }: Evidence,
  known: readonly SourceKey[],
): Pin | undefined {
  if (known.length === 0 || all.length === 0) return undefined
  const keys = pin.keys.map((old) => known.find((key) => isSameKey(key, old)) ?? old)
  const isChanged = keys.some((key, at) => Buffer.compare(key.bytes, pin.keys[at]!.bytes) !== 0)
  const isBetter = KEY_SOURCES.indexOf(source) < KEY_SOURCES.indexOf(pin.source)
  if (!isChanged && !isBetter) return undefined
  return { ...pin, keys, ...(isBetter && { source }) }
}

function firstPin({ source, keys }: Evidence, since: string): Pin {
  return { source, since, accepted: false, keys, pending: [] }
}

function asFound(
  evidence: Evidence,
  keys: readonly SourceKey[],
  pin: Pin | undefined,
): readonly FoundKey[] {
  const { source, untilMs } = evidence
  const isAccepted = source === 'harvested' && pin?.accepted === true
  const isDoubtful = source === 'harvested' && !isAccepted
  return keys.map((key) => ({
    ...key,
    source: isAccepted ? 'operator' : source, // it is his word that counts
    isOfDomain: false,
    until: new Date(untilMs).toISOString(),
    ...(isDoubtful && { untrusted: HARVESTED }),
  }))
}

function asPinned(
  { source }: Pick<Pin, 'source'>,
  keys: readonly SourceKey[],
  untrusted: string,
): readonly FoundKey[] {
  return keys.map((key) => ({ ...key, source, isOfDomain: false, untrusted }))
}

function names(keys: readonly SourceKey[]): string {
  return keys.map(({ fingerprint }) => fingerprint).join(', ')
}
