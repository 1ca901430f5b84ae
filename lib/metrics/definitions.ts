// The names of all metrics: docs/metrics.md has each. Labels have few values, and none that a user or a stranger chooses: no
// address, no domain, no host.

export const COUNTERS = {
  hisho_tls_sessions_total: {
    help: 'TLS sessions on the way to other servers, and what kept them from being one, by policy (RFC 8460)',
    labels: ['policy', 'result'],
  },
  hisho_delivery_attempts_total: {
    help: 'Connections to other servers: what they had to have, and what was decided',
    labels: ['requirement', 'decision'],
  },
  hisho_seal_total: { help: 'Messages that were encrypted', labels: ['scheme', 'result'] },
  hisho_open_total: {
    help: 'Messages that were to be decrypted here',
    labels: ['scheme', 'result'],
  },
  hisho_cache_requests_total: {
    help: 'Look-ups in what is remembered',
    labels: ['cache', 'result'],
  },
  hisho_tls_reports_received_total: {
    help: 'Reports on TLS that arrived (RFC 8460)',
    labels: ['via', 'result'],
  },
} as const

/** `sum`: each process has its own. `max`: all see the same. */
export const GAUGES = {
  hisho_store_up: {
    help: 'Whether what must not be forgotten can be read: 1 or 0',
    labels: ['backend'],
    of: 'max',
  },
  hisho_mta_sts_policies: {
    help: 'MTA-STS policies of other domains that are remembered, by mode',
    labels: ['mode'],
    of: 'max',
  },
  hisho_mta_sts_policy_age_seconds: {
    help: 'Time since they were fetched',
    labels: ['statistic'],
    of: 'max',
  },
  hisho_kek_cache_entries: {
    help: 'Keys of conversations that are held',
    labels: ['side'],
    of: 'sum',
  },
  hisho_kek_cache_hits: { help: 'How often one was there', labels: ['side'], of: 'sum' },
  hisho_kek_cache_misses: { help: 'How often one was made', labels: ['side'], of: 'sum' },
  hisho_worker_queue: { help: 'Jobs that wait for a thread', labels: ['pool'], of: 'sum' },
  hisho_worker_threads: { help: 'Threads that live', labels: ['pool'], of: 'sum' },
  hisho_held_mail: { help: 'Mail that waits for a key of its recipients', labels: [], of: 'max' },
} as const

export type CounterName = keyof typeof COUNTERS
export type GaugeName = keyof typeof GAUGES

export type CounterLabels<N extends CounterName> = Readonly<
  Record<(typeof COUNTERS)[N]['labels'][number], string>
>
export type GaugeLabels<N extends GaugeName> = Readonly<
  Record<(typeof GAUGES)[N]['labels'][number], string>
>
