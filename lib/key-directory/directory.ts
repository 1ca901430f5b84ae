// Which public keys an address has: from the sources that count for it, the best one first, and what is remembered of it.
// docs/keys.md.
import type { SharedCache } from '../cache/cache.ts'
import { HishoError, PermError } from '../errors.ts'
import {
  KEY_SOURCES,
  type CorrespondentKeys,
  type FoundKey,
  type KeyFormat,
  type KeyKind,
  type KeySourceName,
} from '../mail/correspondent-keys.ts'
import { createDiscovery, type DiscoveryOptions } from './discovery.ts'
import type { Held, SourceKey } from './finding.ts'
import { createHarvest } from './harvest.ts'
import { judge, judgeAbsence } from './judge.ts'
import type { OperatorKeys } from './operator.ts'
import { createPins, type Pin, type PinnedAddress } from './pins.ts'

export interface KeyDirectoryOptions extends Omit<DiscoveryOptions, 'harvest'> {
  readonly formats: readonly KeyFormat[]
  readonly operator: OperatorKeys
  /** It must fail where it cannot say, and not forget. */
  readonly store: SharedCache
  /** Whether what comes with mail is remembered. */
  readonly mayHarvest: () => boolean
  readonly log: (level: 'notice' | 'warn', message: string) => void
}

/** What one source says, for people. */
export type SourceReport = { readonly source: KeySourceName } & (
  | { readonly status: 'found'; readonly keys: readonly SourceKey[]; readonly until?: string }
  | { readonly status: 'none'; readonly isProven: boolean }
  | { readonly status: 'unusable' | 'unknown'; readonly reason: string }
)

export interface KeyDirectory extends CorrespondentKeys {
  readonly kinds: readonly KeyKind[]
  /** Each source by itself. Nothing is pinned. */
  survey(
    kind: KeyKind,
    name: string,
    sources: readonly KeySourceName[],
    spelling?: string,
  ): Promise<readonly SourceReport[]>
  pinned(pinned: PinnedAddress): Promise<Pin | undefined>
  pins(): Promise<readonly PinnedAddress[]>
  /** The operator's word that this is the key. PermError keys/untrusted: no source has one with this fingerprint. */
  accept(pinned: PinnedAddress, fingerprint: string): Promise<Pin>
  /** What was learnt of the address, the keys that came with its mail too. */
  forget(pinned: PinnedAddress): Promise<void>
}

export function createKeyDirectory(options: KeyDirectoryOptions): KeyDirectory {
  const { formats, operator, store, clock, mayHarvest, log } = options
  const harvest = createHarvest({ store, clock, log })
  const discovery = createDiscovery({ ...options, harvest })
  const pins = createPins(store)

  const formatOf = (kind: KeyKind): KeyFormat => {
    const format = formats.find((one) => one.kind === kind)
    if (!format) throw new PermError('crypto/unsupported', `no format reads ${kind} keys`)
    return format
  }

  const fromFiles = async (format: KeyFormat, name: string): Promise<readonly FoundKey[]> => {
    for (const place of new Set([name, domainOf(name)])) {
      const keys = await operator.find(format, place)
      const isOfDomain = !place.includes('@')
      if (keys.length > 0) return keys.map((key) => ({ ...key, source: 'operator', isOfDomain }))
    }
    return []
  }

  const discover = async (
    format: KeyFormat,
    address: string,
    sources: readonly KeySourceName[],
    spelling: string | undefined,
  ): Promise<readonly FoundKey[]> => {
    const pinned = { kind: format.kind, address }
    const pin = await pins.recall(pinned)
    const { evidence, absences, problem } = await discovery.gather(
      format,
      { address, spelling },
      sources,
      pin,
    )
    if (!evidence) {
      const keys = judgeAbsence(pin, absences, clock.nowMs())
      if (keys.length > 0 || problem === undefined) return keys
      throw new PermError(
        format.kind === 'openpgp' ? 'openpgp/key' : 'smime/certificate',
        `what is published for ${address} cannot be used: ${problem}`,
      )
    }
    const verdict = judge(pin, evidence, clock.nowMs())
    if (verdict.alert !== undefined) log('warn', `${address}: ${verdict.alert}`)
    if (verdict.pin && pin) await pins.write(pinned, verdict.pin)
    // Another process was faster: what it has seen first counts.
    else if (verdict.pin && !(await pins.pinFirst(pinned, verdict.pin)))
      return judge(await pins.recall(pinned), evidence, clock.nowMs()).keys
    return verdict.keys
  }

  const survey: KeyDirectory['survey'] = async (kind, name, sources, spelling) => {
    const format = formatOf(kind)
    const ofAddress = KEY_SOURCES.filter(
      (source) => sources.includes(source) && discovery.has(source, format, name),
    )
    return Promise.all(
      ofAddress.map(async (source): Promise<SourceReport> => {
        try {
          if (source !== 'operator')
            return reportOf(source, await discovery.ask(source, format, name, spelling))
          const keys = await fromFiles(format, name)
          return keys.length > 0
            ? { source, status: 'found', keys }
            : { source, status: 'none', isProven: true }
        } catch (error) {
          if (!(error instanceof HishoError)) throw error
          return { source, status: 'unknown', reason: error.message }
        }
      }),
    )
  }

  return {
    kinds: formats.map(({ kind }) => kind),
    async find(kind, name, sources, spelling) {
      const format = formatOf(kind)
      const files = sources.includes('operator') ? await fromFiles(format, name) : []
      return files.length > 0 || !name.includes('@')
        ? files
        : discover(format, name, sources, spelling)
    },
    async harvest(kind, address, bytes) {
      if (!mayHarvest()) return
      try {
        await harvest.keep(formatOf(kind), address, bytes)
      } catch (error) {
        if (!(error instanceof HishoError)) throw error
        log('notice', `${address}: the key in its mail is not kept: ${error.message}`)
      }
    },
    survey,
    pinned: (pinned) => pins.recall(pinned),
    pins: () => pins.list(),
    async accept(pinned, fingerprint) {
      const reports = await survey(pinned.kind, pinned.address, ['dnssec', 'wkd', 'harvested'])
      const pin = await pins.recall(pinned)
      const candidates = [
        ...reports.flatMap((one) =>
          one.status === 'found' && one.source !== 'operator'
            ? one.keys.map((key) => ({ key, source: one.source }))
            : [],
        ),
        ...(pin?.pending ?? []),
        ...(pin?.keys ?? []).map((key) => ({ key, source: pin!.source })),
      ]
      const wanted = fingerprint.replaceAll(/[\s:]/g, '').toLowerCase()
      const chosen = candidates.find(({ key }) => key.fingerprint.toLowerCase() === wanted)
      if (!chosen || chosen.source === 'operator')
        throw new PermError(
          'keys/untrusted',
          `no ${pinned.kind} key ${fingerprint} of ${pinned.address} is known`,
        )
      const { key, source } = chosen
      const since = new Date(clock.nowMs()).toISOString()
      const accepted: Pin = { source, since, accepted: true, keys: [key], pending: [] }
      await pins.write(pinned, accepted)
      return accepted
    },
    async forget(pinned) {
      const format = formatOf(pinned.kind)
      await pins.forget(pinned)
      await harvest.forget(format, pinned.address)
      await discovery.forget(format, pinned.address)
    },
  }
}

function reportOf(source: KeySourceName, { finding, untilMs }: Held): SourceReport {
  if (finding.status === 'found')
    return { source, status: 'found', keys: finding.keys, until: new Date(untilMs).toISOString() }
  if (finding.status === 'unusable') return { source, status: 'unusable', reason: finding.reason }
  return { source, status: 'none', isProven: finding.authentic }
}

function domainOf(name: string): string {
  return name.slice(name.lastIndexOf('@') + 1)
}
