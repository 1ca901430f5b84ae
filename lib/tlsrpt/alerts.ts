// Tells the operator that TLS fails: once a day for a domain, with the likely cause and the next step.
import type { SharedCache } from '../cache/cache.ts'
import type { Clock } from '../clock.ts'
import { explain, type Direction } from './explain.ts'

export interface Trouble {
  readonly direction: Direction
  /** Of ours, or of those that we deliver to. */
  readonly domain: string
  /** Failed sessions, by their result type. */
  readonly failures: ReadonlyMap<string, number>
  /** Whoever reports it; of what we see ourselves there is none. */
  readonly reporter?: string
  /** Sessions in all, where that is known. */
  readonly sessions?: number
  readonly reason?: string
}

export interface Alert {
  readonly subject: string
  /** One line, for the log. */
  readonly line: string
  /** For a mail: lines that end in LF. */
  readonly text: string
}

export interface Alerts {
  /** Never fails, and keeps nobody waiting. */
  raise(trouble: Trouble): void
  /** Once all that was raised is told. */
  settled(): Promise<void>
}

export interface AlertsOptions {
  /** Shared by all processes, so that one of them tells it. */
  readonly store: SharedCache
  readonly clock: Clock
  readonly log: (level: 'warn', message: string) => void
  /** By mail too. What it throws goes into the log. */
  readonly send?: (alert: Alert) => Promise<void>
}

const DAY_MS = 86_400_000
const MAX_KNOWN = 10_000
/** In one alert. */
const MAX_TYPES = 12

export function createAlerts({ store, clock, log, send }: AlertsOptions): Alerts {
  let day = ''
  const known = new Set<string>()
  const pending = new Set<Promise<void>>()

  const tell = async (trouble: Trouble, key: string): Promise<void> => {
    try {
      if (!(await store.setIfAbsent(key, '', (2 * DAY_MS) / 1000))) return
    } catch {
      // Told twice, by two processes, is better than not at all.
    }
    const alert = formatAlert(trouble)
    log('warn', alert.line)
    await send?.(alert)
  }

  return {
    raise(trouble) {
      const today = new Date(clock.nowMs()).toISOString().slice(0, 10)
      if (today !== day || known.size >= MAX_KNOWN) known.clear()
      day = today
      const key = `tlsrpt/alert/${today}/${trouble.direction}/${trouble.domain}`
      if (known.has(key)) return
      known.add(key)
      const telling = tell(trouble, key)
        .catch((error: unknown) => {
          const reason = error instanceof Error ? error.message : 'unknown cause'
          log('warn', `an alert could not be sent: ${reason}`)
        })
        .finally(() => pending.delete(telling))
      pending.add(telling)
    },
    async settled() {
      await Promise.all(pending)
    },
  }
}

function formatAlert({ direction, domain, failures, reporter, ...trouble }: Trouble): Alert {
  const counts = [...failures].toSorted(([, one], [, other]) => other - one)
  const subject =
    direction === 'theirs'
      ? `TLS to ${domain} fails at ${reporter ?? 'others'}`
      : `TLS from here to ${domain} fails`
  const failed = counts.reduce((sum, [, count]) => sum + count, 0)
  // Of what we see ourselves the first failure is told, and nothing is counted.
  const isCounted = direction === 'theirs'
  const howMany = isCounted ? [`${failed} of ${trouble.sessions ?? failed} sessions`] : []
  const types = counts.map(([type, count]) => (isCounted ? `${type} (${count})` : type))
  const why = trouble.reason === undefined ? [] : [trouble.reason]
  const [worst = 'unspecified'] = counts.map(([type]) => type)
  const { cause, nextStep } = explain(worst, direction)
  return {
    subject,
    line: `${subject}: ${[...howMany, ...types, ...why].join(', ')}. ${cause} Next: ${nextStep}`,
    text: [
      `${subject}.`,
      ...howMany.map((words) => `Failed: ${words}`),
      ...why.map((words) => `Reason: ${words}`),
      ...counts.slice(0, MAX_TYPES).flatMap(([type], at) => {
        const known = explain(type, direction)
        const steps = [`  Likely cause: ${known.cause}`, `  Next step: ${known.nextStep}`]
        return ['', types[at] ?? type, ...steps]
      }),
      '',
      `This is said once a day for each domain. Details: hisho tlsrpt show${isCounted ? ' --received' : ''} --domain ${domain}`,
      '',
    ].join('\n'),
  }
}
