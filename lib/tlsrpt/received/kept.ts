// The reports that were received, kept for some weeks: once each, and no more than so many (RFC 8460 section 7, floods).
import { createHash } from 'node:crypto'
import type { SharedCache } from '../../cache/cache.ts'
import type { Clock } from '../../clock.ts'
import { PermError } from '../../errors.ts'
import { parseReportText } from '../parse-report.ts'
import { formatReport } from '../report.ts'
import { condensed } from './condense.ts'
import type { ReceivedReport } from './report.ts'

export interface Origin {
  readonly via: 'mail' | 'https'
  /** The envelope sender and the address, as far as there are any. */
  readonly from: string
  /** Domains whose DKIM signature was good. */
  readonly dkim: readonly string[]
}

export interface KeptReport {
  readonly receivedAtMs: number
  readonly origin: Origin
  readonly report: ReceivedReport
}

/** `full`: there are as many as may be kept, or this organisation has sent its share of the day. */
export type Keeping = 'kept' | 'duplicate' | 'full'

export interface KeptReports {
  /** TempError cache/*. PermError tlsrpt/malformed for one that is too long even when it is shortened. */
  keep(report: ReceivedReport, origin: Origin): Promise<Keeping>
  /** The newest first. What cannot be read is left out. TempError cache/*. */
  list(): Promise<readonly KeptReport[]>
}

export interface KeptReportsOptions {
  readonly store: SharedCache
  readonly clock: Clock
  readonly keepDays: number
  readonly maxReports: number
  /** From one organisation in one day, by what this process sees. */
  readonly maxPerSender: number
}

const PREFIX = 'tlsrpt/received/'
const MAX_KEPT_BYTES = 32 * 1024
const RECOUNT_MS = 600_000
const DAY_SECONDS = 86_400
const MAX_SENDERS = 10_000

export function createKeptReports(options: KeptReportsOptions): KeptReports {
  const { store, clock, keepDays, maxReports } = options
  let count: { readonly number: number; readonly atMs: number } | undefined
  const isTooMany = createShares(options)

  /** Other processes add some too: it is counted again from time to time. */
  const isFull = async (): Promise<boolean> => {
    if (count === undefined || clock.nowMs() - count.atMs > RECOUNT_MS)
      count = { number: (await store.keys(PREFIX)).length, atMs: clock.nowMs() }
    return count.number >= maxReports
  }

  return {
    async keep(report, origin) {
      const key = keyOf(report)
      if ((await store.get(key)) !== undefined) return 'duplicate'
      if ((await isFull()) || isTooMany(origin.dkim[0] ?? report.organizationName)) return 'full'
      const text = condensed(report, MAX_KEPT_BYTES)
      if (text === undefined) throw new PermError('tlsrpt/malformed', 'report: too long to be kept')
      const value = formatKept({ receivedAtMs: clock.nowMs(), origin, report }, text)
      if (!(await store.setIfAbsent(key, value, keepDays * DAY_SECONDS))) return 'duplicate'
      if (count) count = { ...count, number: count.number + 1 }
      return 'kept'
    },
    async list() {
      const all: KeptReport[] = []
      for (const key of await store.keys(PREFIX)) {
        const kept = parseKept((await store.get(key)) ?? '')
        if (kept) all.push(kept)
      }
      return all.toSorted((one, other) => other.receivedAtMs - one.receivedAtMs)
    },
  }
}

/** Of the same organisation and id: the same report. Where there is no id, the same contents. */
function keyOf(report: ReceivedReport): string {
  const id = report.reportId === '' ? formatReport(report) : report.reportId
  const name = JSON.stringify([report.organizationName.toLowerCase(), id])
  return `${PREFIX}${createHash('sha256').update(name).digest('base64url')}`
}

function createShares({ clock, maxPerSender }: KeptReportsOptions): (sender: string) => boolean {
  let day = 0
  const counts = new Map<string, number>()
  return (sender) => {
    const today = Math.floor(clock.nowMs() / (DAY_SECONDS * 1000))
    if (today !== day || counts.size >= MAX_SENDERS) counts.clear()
    day = today
    const known = counts.get(sender) ?? 0
    if (known >= maxPerSender) return true
    counts.set(sender, known + 1)
    return false
  }
}

/** `text`: the report, shortened. */
function formatKept({ receivedAtMs, origin, report }: KeptReport, text: string): string {
  return JSON.stringify({ receivedAtMs, ...origin, deviations: report.deviations, text })
}

function parseKept(value: string): KeptReport | undefined {
  try {
    const kept: unknown = JSON.parse(value)
    if (typeof kept !== 'object' || kept === null) return undefined
    if (!('receivedAtMs' in kept) || !('via' in kept) || !('from' in kept)) return undefined
    if (!('dkim' in kept) || !('deviations' in kept) || !('text' in kept)) return undefined
    const { receivedAtMs, via, from, dkim, deviations, text } = kept
    if (typeof receivedAtMs !== 'number' || typeof from !== 'string' || typeof text !== 'string')
      return undefined
    return {
      receivedAtMs,
      origin: { via: via === 'https' ? 'https' : 'mail', from, dkim: texts(dkim) },
      report: { ...parseReportText(text), deviations: texts(deviations) },
    }
  } catch {
    return undefined
  }
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}
