// Where the copies of a split message go: they are in Haraka's outbound queue, and notes tell it the way that the queue
// plugin of this server would have taken.
import { TempError } from '../errors.ts'
import type { Connection, HookEntry, Plugin, PluginsModule } from './api.ts'

/** Plugins on the queue hooks that take no message: signers, and ourselves. */
const TAKES_NOTHING = /^(?:dkim|hisho\/|dkim_sign$|karma$|results$|limit$)/

/** Notes for the copies. TempError protection/split, with the reason, if a queue plugin cannot be followed. */
export function routeOfCopies(
  plugins: PluginsModule,
  connection: Connection,
): Record<string, unknown> {
  const hook = connection.relaying ? 'queue_outbound' : 'queue'
  const wanted = connection.transaction?.notes.get('queue.wants')
  const queues = (plugins.registered_hooks[hook] ?? []).filter(
    (entry) => !TAKES_NOTHING.test(entry.plugin),
  )
  for (const entry of queues) {
    if (typeof wanted === 'string' && wanted !== '' && entry.plugin !== `queue/${wanted}`) continue
    const notes = notesFor(entry, plugins.registered_plugins[entry.plugin], connection)
    if (notes) return notes
  }
  if (connection.relaying) return {} // the outbound queue itself, by MX
  throw new TempError('protection/split', 'no queue plugin that takes several copies of a message')
}

function notesFor(
  entry: HookEntry,
  plugin: Plugin | undefined,
  connection: Connection,
): Record<string, unknown> | undefined {
  switch (entry.plugin) {
    case 'queue/lmtp':
      return { using_lmtp: true }
    case 'queue/smtp_forward':
      return forwardNotes(plugin as ForwardPlugin, connection)
    default:
      throw new TempError(
        'protection/split',
        `this message needs several copies (each recipient may read only what is theirs), and ${entry.plugin} takes one only`,
      )
  }
}

interface ForwardConfig {
  readonly host?: string
  readonly port?: number | string
  readonly auth_user?: string
  readonly forwarding_host_pool?: string
  readonly enable_tls?: boolean
}

interface ForwardPlugin extends Plugin {
  get_config(connection: Connection): ForwardConfig
  forward_enabled(connection: Connection, config: ForwardConfig): boolean
}

/** undefined: smtp_forward would let this message pass to the next queue plugin. */
function forwardNotes(
  plugin: ForwardPlugin,
  connection: Connection,
): Record<string, unknown> | undefined {
  const config = plugin.get_config(connection)
  if (!plugin.forward_enabled(connection, config)) return undefined
  if (!config.host || config.forwarding_host_pool || config.auth_user) {
    throw new TempError(
      'protection/split',
      'this message needs several copies, which smtp_forward can take only with one host and without auth_user',
    )
  }
  return {
    queue: {
      wants: 'smtp_forward',
      next_hop: `smtp://${bracketed(config.host)}:${config.port ?? 25}`,
    },
  }
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
}
