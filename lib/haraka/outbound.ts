// Haraka's outbound queue, as far as we use its inside. self-test.ts checks at start that it is as we know it.
import type { Outbound, Plugin } from './api.ts'

export interface OutboundQueue {
  readonly outbound: Outbound
  readonly queueDirectory: string
}

export function outboundOf(plugin: Plugin): OutboundQueue {
  const queue = plugin.haraka_require('outbound/queue') as { readonly queue_dir: string }
  return {
    outbound: plugin.haraka_require('outbound') as Outbound,
    queueDirectory: queue.queue_dir,
  }
}
