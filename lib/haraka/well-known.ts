// What hisho/well_known answers: the texts that a domain of ours publishes, each at its path and host. RFC 8615; HTTP's
// words are RFC 9110's. docs/well_known.md.
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { HishoError, TempError } from '../errors.ts'
import { normalizeDomain } from '../ibe/mail-domain.ts'
import type { WellKnownPluginSettings } from '../services/plugin-settings.ts'
import type { Log } from '../services/services.ts'
import type { HttpHandler, HttpHost, Plugin } from './api.ts'
import { describe } from './hook.ts'

const MAX_AGE_SECONDS = 3600
const RETRY_AFTER_SECONDS = 60
const TEXT = 'text/plain; charset=utf-8'

export interface WellKnownText {
  readonly path: string
  /** The first label of the host, before the domain. */
  readonly label: string
  /** Empty: the domain publishes none. */
  textFor(domain: string): Promise<string>
}

/** What is more than one text at one path. */
export interface WellKnownPages {
  /** For the log. */
  readonly name: string
  /** Of each answer with a body of theirs. */
  readonly headers: Readonly<Record<string, string>>
  /** Whether a path, without its query, is theirs. */
  has(path: string): boolean
  /** The host in its normal form. undefined: nothing is there. */
  bodyFor(host: string, path: string): Promise<Uint8Array | undefined>
}

export interface WellKnownOptions {
  readonly texts: readonly WellKnownText[]
  readonly pages?: readonly WellKnownPages[]
  readonly settings: () => WellKnownPluginSettings
  readonly log: Log
}

interface Answer {
  readonly status: number
  /** Of 200 as it is; else what a person reads. */
  readonly body: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/** Answers for the paths of its texts and pages alone, and never throws. */
export function createWellKnown(options: WellKnownOptions): HttpHandler {
  const { texts, settings, log } = options
  const all = [...texts.map(pagesOf), ...(options.pages ?? [])]
  const serve = async (
    pages: WellKnownPages,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> => {
    const answer = await answerTo(request, settings(), pages).catch((error: unknown) => {
      const known = error instanceof HishoError
      const reason = known || !(error instanceof Error) ? describe(error) : `a bug: ${error.stack}`
      log(known ? 'warn' : 'error', `${pages.name}: ${reason}`)
      return error instanceof TempError ? LATER : FAILED
    })
    send(request, response, answer)
  }
  return (request, response, passOn) => {
    const { path } = targetOf(request)
    const pages = all.find((one) => one.has(path))
    if (!settings().enabled || pages === undefined) return passOn()
    serve(pages, request, response).catch(() => response.destroy())
  }
}

function pagesOf(text: WellKnownText): WellKnownPages {
  const { path, label } = text
  return {
    name: path,
    headers: { 'Content-Type': TEXT },
    has: (asked) => asked === path,
    async bodyFor(host) {
      if (!host.startsWith(`${label}.`)) return undefined
      const body = await text.textFor(host.slice(label.length + 1))
      return body === '' ? undefined : Buffer.from(body)
    },
  }
}

const NOT_FOUND: Answer = { status: 404, body: 'not found' }
const FAILED: Answer = { status: 500, body: 'failed' }
const LATER: Answer = {
  status: 503,
  body: 'try again later',
  headers: { 'Retry-After': String(RETRY_AFTER_SECONDS) },
}

/** Whoever waits on the line is told no more than the text. */
async function answerTo(
  request: IncomingMessage,
  { trustForwardedHost }: WellKnownPluginSettings,
  pages: WellKnownPages,
): Promise<Answer> {
  const { method, headers, headersDistinct } = request
  if (method !== 'GET' && method !== 'HEAD')
    return { status: 405, body: 'GET or HEAD', headers: { Allow: 'GET, HEAD' } }
  const hosts = headersDistinct['host'] ?? []
  // RFC 9112 section 3.2: more than one Host field is refused. Node would take the first.
  if (hosts.length > 1) return { status: 400, body: 'more than one Host' }
  const forwarded = trustForwardedHost ? headersDistinct['x-forwarded-host'] : undefined
  const target = targetOf(request)
  const host = nameOf(forwarded?.join() ?? target.host ?? hosts[0] ?? '')
  const body = host === undefined ? undefined : await pages.bodyFor(host, target.path)
  if (body === undefined) return NOT_FOUND
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`
  const { 'Content-Type': type = TEXT, ...shared } = pages.headers
  const cached = { ...shared, ETag: etag, 'Cache-Control': `max-age=${MAX_AGE_SECONDS}` }
  return isHeld(headers['if-none-match'], etag)
    ? { status: 304, body: '', headers: cached }
    : { status: 200, body, headers: { ...cached, 'Content-Type': type } }
}

/** RFC 9112 section 3.2.2: a target in absolute form is taken, and its host in place of the field. */
function targetOf({ url = '' }: IncomingMessage): {
  readonly host: string | undefined
  readonly path: string
} {
  const [, host, path] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(url) ?? []
  return host === undefined ? { host, path: url } : { host, path: path ?? '' }
}

/** `ibemail.b.example` of `Ibemail.b.example.:443`. */
function nameOf(host: string): string | undefined {
  const [, name = ''] = /^([A-Za-z0-9.-]+)(?::\d{0,5})?$/.exec(host) ?? []
  try {
    return normalizeDomain(name)
  } catch (error) {
    if (error instanceof HishoError) return undefined
    throw error
  }
}

/** RFC 9110 section 13.1.2. */
function isHeld(condition: string | undefined, etag: string): boolean {
  const tags = (condition ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}

function send(
  { method }: IncomingMessage,
  response: ServerResponse,
  { status, body: said, headers }: Answer,
): void {
  const body = Buffer.from(typeof said !== 'string' || said === '' ? said : `${said}\n`)
  response.writeHead(status, {
    ...(status !== 304 && {
      'Content-Type': TEXT,
      'Content-Length': body.length,
      'X-Content-Type-Options': 'nosniff',
    }),
    ...headers,
  })
  response.end(method === 'HEAD' ? undefined : body)
}

/** For `register`. */
export function warnUnlessListening(plugin: Plugin): void {
  const { http } = plugin.haraka_require('server') as HttpHost
  if (!http.cfg?.listen)
    plugin.logwarn('http.ini has no listen: Haraka has no HTTP, and nothing is answered')
}
