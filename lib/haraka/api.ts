// What we use of Haraka 3.3, as types. Nothing here runs but the numbers, which are checked against Haraka's own.
import type { IncomingMessage, ServerResponse } from 'node:http'

// haraka-constants: on the real global only after a plugin's require returned, so they are written down here too.
export const CONT = 900
export const DENY = 902
export const DENYSOFT = 903
export const OK = 906

export type Next = (code?: number, message?: unknown) => void

export interface Address {
  readonly user: string
  readonly host: string
  readonly original: string
  /** `local@domain`. */
  readonly address: string
  /** In the queue: for a bounce. */
  reason?: string
}

export interface Header {
  header_list: string[]
  invalid_headers?: string[]
  parse(lines: string[]): void
  get(name: string): string
}

export interface PipeOptions {
  readonly dot_stuffed?: boolean
  readonly dot_stuffing?: boolean
  readonly ending_dot?: boolean
  readonly skip_headers?: boolean
  readonly clamd_style?: boolean
  readonly line_endings?: string
  readonly end?: boolean
}

/** What a stream can be piped to: as much of a Writable as Haraka uses. */
export interface PipeTarget {
  write(piece: Buffer): boolean
  end(): unknown
}

export interface MessageStream extends NodeJS.EventEmitter {
  headers: string[]
  readonly bytes_read: number
  /** Whether it has gone to a file. */
  readonly spooling: boolean
  add_line(line: Buffer | string): void
  add_line_end(done?: () => void): void
  pipe<T extends PipeTarget>(destination: T, options?: PipeOptions): T
  unpipe(): void
  destroy(): void
}

/** haraka-notes: values at dotted paths. */
export interface Notes extends Record<string, unknown> {
  skip_plugins: string[]
  get(path: string): unknown
  set(path: string, value: unknown): void
}

export interface Results {
  add(plugin: { readonly name: string }, result: Record<string, unknown>): void
}

export interface Transaction {
  readonly uuid: string
  readonly cfg: {
    readonly headers?: { readonly max_lines?: number; readonly add_received?: boolean }
  }
  mail_from: Address
  rcpt_to: Address[]
  header: Header
  header_lines: string[]
  header_pos: number
  found_hb_sep: boolean
  body: unknown
  parse_body: boolean
  banner: unknown
  body_filters: unknown[]
  attachment_start_hooks: unknown[]
  mime_part_count: number
  data_bytes: number
  notes: Notes
  message_stream: MessageStream
  readonly results: Results | undefined
  add_header(name: string, value: string): void
  add_leading_header(name: string, value: string): void
  add_data(line: Buffer): void
  end_data(done: () => void): void
}

export interface Loggers {
  loginfo(...parts: unknown[]): void
  lognotice(...parts: unknown[]): void
  logwarn(...parts: unknown[]): void
  logerror(...parts: unknown[]): void
  logcrit(...parts: unknown[]): void
}

export interface Connection extends Loggers {
  readonly uuid: string
  readonly relaying: boolean
  readonly local: { readonly host: string }
  readonly remote: { readonly closed?: boolean; readonly ip?: string }
  readonly notes: { readonly auth_user?: unknown }
  readonly tls: { readonly enabled: boolean }
  /** Lines of the answer to EHLO, while it is made. */
  capabilities: string[] | null
  transaction: Transaction | null
  /** Adds to the Authentication-Results of this server, which Haraka writes after data_post. */
  auth_results(result: string): void
}

export interface HMail {
  readonly todo: {
    readonly domain: string
    readonly rcpt_to: Address[]
    readonly notes: Record<string, unknown>
  } | null
}

export interface HarakaConfig {
  get(name: string, ...rest: unknown[]): unknown
  module_config(defaults: string, overrides?: string): HarakaConfig
}

export interface Plugin extends Loggers {
  readonly name: string
  readonly timeout: number
  readonly config: HarakaConfig
  register_hook(hook: string, method: string, priority?: number): void
  haraka_require(module: string): unknown
}

export interface TodoItem {
  readonly domain: string
  readonly notes: Record<string, unknown>
  readonly message_stream: MessageStream
}

export interface Outbound {
  readonly qfile: { name(): string; readonly platformDOT: string }
  readonly net_utils: { readonly HarakaMx: unknown }
  readonly HMailItem: new (filename: string, path: string, notes: Record<string, unknown>) => HMail
  readonly delivery_queue: { push(item: HMail): unknown }
  build_todo(todo: TodoItem, destination: NodeJS.WritableStream, done: () => void): void
  send_email(from: string, to: string, contents: string, next: Next): void
  send_trans_email(this: object, transaction: Transaction, next: Next): void
  send_email(
    from: string,
    to: string,
    contents: string,
    next: Next,
    options: { readonly notes: { readonly skip_plugins: string[] } },
  ): void
  process_delivery(okPaths: string[], todo: TodoItem, hmails: unknown[]): Promise<void>
}

export interface HookEntry {
  readonly plugin: string
  readonly method: string
  readonly priority: number
}

export interface PluginsModule {
  readonly registered_hooks: Record<string, HookEntry[] | undefined>
  readonly registered_plugins: Record<string, Plugin | undefined>
  load_plugin(name: string): void
}

/** Of the module `server`: what http.ini says, and once it listens the application of express. */
export interface HttpHost {
  readonly http: {
    readonly cfg?: { readonly listen?: string }
    readonly app: { use(handler: HttpHandler): unknown }
  }
}

export type HttpHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  passOn: () => void,
) => void
