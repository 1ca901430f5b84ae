// Haraka's outbound queue, as far as we use its inside. self-test.ts checks at start that it is as we know it.
import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Address, Loggers, Notes, Outbound, Plugin } from './api.ts'

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

/** Where mail leaves Haraka: what the seam takes hold of. */
export interface DeliveryInside {
  readonly hmailPrototype: QueuedMail
  readonly clientPool: ClientPool
  readonly HarakaMx: new (fields: unknown) => Mx
  readonly tlsSocket: TlsSocketModule
  /** outbound.ini, as it is read last. */
  enablesTls(): boolean
}

export function deliveryInside(plugin: Plugin): DeliveryInside {
  const { HMailItem, net_utils } = plugin.haraka_require('outbound') as {
    readonly HMailItem: { readonly prototype: QueuedMail }
    readonly net_utils: { readonly HarakaMx: new (fields: unknown) => Mx }
  }
  const config = plugin.haraka_require('outbound/config') as {
    readonly cfg: { readonly enable_tls?: boolean }
  }
  return {
    hmailPrototype: HMailItem.prototype,
    clientPool: plugin.haraka_require('outbound/client_pool') as ClientPool,
    HarakaMx: net_utils.HarakaMx,
    tlsSocket: plugin.haraka_require('tls_socket') as TlsSocketModule,
    enablesTls: () => config.cfg.enable_tls === true,
  }
}

export interface Recipient extends Address {
  dsn_action?: string
  dsn_code?: number
  dsn_msg?: string
  dsn_status?: string
}

/** A mail of the outbound queue while it is delivered. */
export interface QueuedMail extends Loggers {
  readonly todo: {
    readonly domain: string
    readonly rcpt_to: Recipient[]
    readonly notes: Notes
  } | null
  /** What is still to be tried. */
  mxlist: Mx[]
  get_mx_respond: (this: QueuedMail, code: number, answer?: unknown) => unknown
  get_force_tls: (this: QueuedMail, mx: Mx) => boolean
  temp_fail: (this: QueuedMail, reason: string, extra?: unknown) => unknown
  bounce(reason: string, extra?: unknown): unknown
}

/** A next hop: haraka-net-utils' class. */
export interface Mx {
  exchange?: string
  path?: string
  priority?: number
  port?: number | string
  bind?: string
  bind_helo?: string
  using_lmtp?: boolean
  from_dns?: string
}

export interface ClientPool {
  get_client: (
    this: ClientPool,
    mx: Mx,
    done: (error: string | null, socket: OutboundSocket | null) => void,
  ) => void
}

/** tls_socket's pluggableStream. */
export interface OutboundSocket extends EventEmitter {
  targetsocket: Socket
  cleartext?: TLSSocket
  readonly _timeout: number
  readonly _keepalive: boolean
  clean(): void
  attach(socket: Socket): void
  emit: (event: string | symbol, ...values: unknown[]) => boolean
  write: (this: OutboundSocket, data: string | Uint8Array, ...rest: unknown[]) => boolean
  destroy: (this: OutboundSocket) => unknown
  upgrade: (options: object, done: Upgraded) => void
}

export type Upgraded = (
  authorized: boolean,
  error: unknown,
  certificate: unknown,
  cipher: unknown,
) => void

export interface TlsSocketModule {
  readonly tls_valid?: boolean
  readonly cfg?: {
    readonly mutual_auth_hosts: Readonly<Record<string, string | undefined>>
    readonly mutual_auth_hosts_exclude: Readonly<Record<string, unknown>>
    readonly main: { readonly mutual_tls?: boolean }
  }
  readonly certsByHost: Readonly<Record<string, ClientCertificate | undefined>>
  connect(options: object): OutboundSocket
}

interface ClientCertificate {
  readonly key?: Buffer[]
  readonly cert?: Buffer[]
}

/** Of tls.ini [main] mutual_tls and its lists of hosts: what tls_socket itself would present to this address. */
export function clientCertificate(
  { tls_valid: isValid, cfg, certsByHost }: TlsSocketModule,
  address: string,
): ClientCertificate {
  if (!isValid || !cfg) return {}
  const named = cfg.mutual_auth_hosts[address]
  const isWanted = !cfg.mutual_auth_hosts_exclude[address] && cfg.main.mutual_tls === true
  if (!named && !isWanted) return {}
  const { key, cert } = certsByHost[named ?? address] ?? certsByHost['*'] ?? {}
  return { ...(key && { key }), ...(cert && { cert }) }
}
