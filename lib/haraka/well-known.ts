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

export interface WellKnownText {
  readonly path: string
  /** The first label of the host, before the domain. */
  readonly label: string
  /** Empty: the domain publishes none. */
  textFor(domain: string): Promise<string>
}

export interface WellKnownOptions {
  readonly texts: readonly WellKnownText[]
  readonly settings: () => WellKnownPluginSettings
  readonly log: Log
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Answers for the paths of its texts alone, and never throws. */
export function createWellKnown({ texts, settings, log }: WellKnownOptions): HttpHandler {
  const serve = async (
    text: WellKnownText,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> => {
    const answer = await answerTo(request, settings(), text).catch((error: unknown) => {
      const known = error instanceof HishoError
      const reason = known || !(error instanceof Error) ? describe(error) : `a bug: ${error.stack}`
      log(known ? 'warn' : 'error', `${text.path}: ${reason}`)
      return error instanceof TempError ? LATER : FAILED
    })
    send(request, response, answer)
  }
  return (request, response, passOn) => {
    const { path } = targetOf(request)
    const text = texts.find((one) => one.path === path)
    if (!settings().enabled || text === undefined) return passOn()
    serve(text, request, response).catch(() => response.destroy())
  }
}

const NOT_FOUND: Answer = { status: 404, text: 'not found' }
const FAILED: Answer = { status: 500, text: 'failed' }
const LATER: Answer = {
  status: 503,
  text: 'try again later',
  headers: { 'Retry-After': String(RETRY_AFTER_SECONDS) },
}

/** Whoever waits on the line is told no more than the text. */
async function answerTo(
  request: IncomingMessage,
  { trustForwardedHost }: WellKnownPluginSettings,
  text: WellKnownText,
): Promise<Answer> {
  const { method, headers, headersDistinct } = request
  if (method !== 'GET' && method !== 'HEAD')
    return { status: 405, text: 'GET or HEAD', headers: { Allow: 'GET, HEAD' } }
  const hosts = headersDistinct['host'] ?? []
  // RFC 9112 section 3.2: more than one Host field is refused. Node would take the first.
  if (hosts.length > 1) return { status: 400, text: 'more than one Host' }
  const forwarded = trustForwardedHost ? headersDistinct['x-forwarded-host'] : undefined
  const host = forwarded?.join() ?? targetOf(request).host ?? hosts[0]
  const domain = domainOf(host ?? '', `${text.label}.`)
  const body = domain === undefined ? '' : await text.textFor(domain)
  if (body === '') return NOT_FOUND
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`
  const cached = { ETag: etag, 'Cache-Control': `max-age=${MAX_AGE_SECONDS}` }
  return isHeld(headers['if-none-match'], etag)
    ? { status: 304, text: '', headers: cached }
    : { status: 200, text: body, headers: cached }
}

/** RFC 9112 section 3.2.2: a target in absolute form is taken, and its host in place of the field. */
function targetOf({ url = '' }: IncomingMessage): {
  readonly host: string | undefined
  readonly path: string
} {
  const [, host, path] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(url) ?? []
  return host === undefined ? { host, path: url } : { host, path: path ?? '' }
}

/** `b.example` of `ibemail.b.example:443`. */
function domainOf(host: string, prefix: string): string | undefined {
  const [, name = ''] = /^([A-Za-z0-9.-]+)(?::\d{0,5})?$/.exec(host) ?? []
  try {
    const normal = normalizeDomain(name)
    return normal.startsWith(prefix) ? normal.slice(prefix.length) : undefined
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
  { status, text, headers }: Answer,
): void {
  const body = Buffer.from(status === 200 || text === '' ? text : `${text}\n`)
  response.writeHead(status, {
    ...(status !== 304 && {
      'Content-Type': 'text/plain; charset=utf-8',
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
