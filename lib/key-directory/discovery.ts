// The sources of keys that are asked: DNS, the domain's web server, and what came with mail; which of them has something.
import type { Resolver } from '../dns/resolver.ts'
import type { FetchBytes } from '../http/fetch-bytes.ts'
import type { SmimeaRecord } from '../dns/records.ts'
import type { KeyFormat, KeySourceName } from '../mail/correspondent-keys.ts'
import { findInDns, usageNaming } from './dns.ts'
import type { Held, SourceKey } from './finding.ts'
import { dnsNamesOf } from './names.ts'
import type { Harvest } from './harvest.ts'
import type { Evidence } from './judge.ts'
import type { Pin, PinnedSource } from './pins.ts'
import { createRememberedFindings, type RememberedFindingsOptions } from './remembered-findings.ts'
import { findOnWeb } from './wkd.ts'

export interface DiscoveryOptions extends RememberedFindingsOptions {
  readonly resolver: Pick<Resolver, 'resolve'>
  /** Undefined: no web server is asked. */
  readonly fetchBytes: FetchBytes | undefined
  readonly harvest: Harvest
}

export interface Gathered {
  readonly evidence?: Evidence
  /** Of the sources that have nothing to use. */
  readonly absences: ReadonlyMap<KeySourceName, { readonly authentic: boolean }>
  /** The first thing that is no key, and stands where one should be. */
  readonly problem?: string
}

export interface Discovery {
  has(source: KeySourceName, format: KeyFormat, name: string): boolean
  /** TempError: nobody can say. */
  ask(
    source: PinnedSource,
    format: KeyFormat,
    address: string,
    spelling: string | undefined,
  ): Promise<Held>
  /** In order of trust, until one has something. TempError: nobody can say, and so nobody asks those that come after. */
  gather(
    format: KeyFormat,
    asked: { readonly address: string; readonly spelling: string | undefined },
    sources: readonly KeySourceName[],
    pin: Pin | undefined,
  ): Promise<Gathered>
  forget(format: KeyFormat, address: string): Promise<void>
}

const ORDER = ['dnssec', 'wkd', 'harvested'] as const satisfies readonly PinnedSource[]
const ASKED = ['dnssec', 'wkd'] as const

export function createDiscovery(options: DiscoveryOptions): Discovery {
  const { resolver, fetchBytes, harvest } = options
  const remembered = createRememberedFindings(options)

  const has: Discovery['has'] = (source, { kind }, name) => {
    if (source === 'operator') return true
    if (source === 'wkd' && (kind !== 'openpgp' || !fetchBytes)) return false
    return name.includes('@')
  }
  const ask: Discovery['ask'] = async (source, format, address, spelling) => {
    if (source === 'harvested') return harvest.find(format, address)
    const { kind } = format
    if (source === 'wkd' && fetchBytes)
      return remembered.ask({ kind, source, address }, () => findOnWeb(fetchBytes, format, address))
    const names = dnsNamesOf(kind, address, spelling)
    const asWritten = names.length > 1 ? names[0] : undefined
    return remembered.ask({ kind, source, address: asWritten ?? address }, () =>
      findInDns(resolver, format, address, names),
    )
  }

  return {
    has,
    ask,
    async gather(format, { address, spelling }, sources, pin) {
      const absences = new Map<KeySourceName, { readonly authentic: boolean }>()
      let constraints: readonly SmimeaRecord[] = []
      let constrainedUntilMs = 0
      let problem: string | undefined
      for (const source of ORDER) {
        if (!sources.includes(source) || !has(source, format, address)) continue
        const { finding, untilMs } = await ask(source, format, address, spelling)
        if (finding.status === 'found' && constraints.length === 0)
          return { evidence: { source, keys: finding.keys, untilMs }, absences }
        if (finding.status === 'found') {
          const keys = named(constraints, [...finding.keys, ...(pin?.keys ?? [])])
          if (keys.length > 0) return vouchedFor(keys, constrainedUntilMs, absences)
          absences.set(source, { authentic: true }) // DNS says that it is another one
        } else if (finding.status === 'none') {
          absences.set(source, finding)
          constraints = finding.constraints ?? constraints
          if (finding.constraints) constrainedUntilMs = untilMs
        } else {
          absences.set(source, { authentic: false })
          problem ??= `${source}: ${finding.reason}`
        }
      }
      const keys = named(constraints, pin?.keys ?? [])
      if (keys.length > 0) return vouchedFor(keys, constrainedUntilMs, absences)
      return { absences, ...(problem !== undefined && { problem }) }
    },
    async forget({ kind }, address) {
      for (const source of ASKED) await remembered.forget({ kind, source, address })
    },
  }
}

function vouchedFor(
  keys: readonly SourceKey[],
  untilMs: number,
  absences: Gathered['absences'],
): Gathered {
  return { evidence: { source: 'dnssec', keys, untilMs }, absences }
}

/** RFC 8162 section 2: the certificates that a record names by a hash, or by its key. */
function named(
  constraints: readonly SmimeaRecord[],
  keys: readonly SourceKey[],
): readonly SourceKey[] {
  const found = new Map<string, SourceKey>()
  for (const key of keys) {
    const smimeaUsage = usageNaming(constraints, key.bytes)
    if (smimeaUsage !== undefined) found.set(key.fingerprint, { ...key, smimeaUsage })
  }
  return [...found.values()]
}
