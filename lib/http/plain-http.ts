// A question in plain HTTP and the bytes of its answer, for what is signed by itself: lists of revoked certificates and the
// answers about them (RFC 5280 section 4.2.1.13, RFC 6960 appendix A). Certificates say where to ask, not we.
import { request, type IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { HishoError } from '../errors.ts'
import { readBounded } from './bounded-answer.ts'
import { lookUpIn } from './known-addresses.ts'
import { createAddressFilter } from './public-addresses.ts'

export interface PlainClientOptions {
  /** Addresses of a host, none if there is no such host. Throws HishoErrors where nobody can say. */
  readonly addressesOf: (host: string, signal: AbortSignal) => Promise<readonly string[]>
  /** From the first question to the last byte. */
  readonly timeoutMs: number
  readonly maxBytes: number
  /** `public`: no connection is made to an address of a private, local or special network. */
  readonly reach: 'public' | 'any'
}

export interface PlainRequest {
  readonly url: string
  /** A media type. */
  readonly accept: string
  /** With one it is a POST. */
  readonly body?: { readonly type: string; readonly bytes: Uint8Array }
}

export type PlainOutcome =
  | { readonly status: 'found'; readonly bytes: Uint8Array }
  | { readonly status: 'unusable'; readonly reason: string }

/** Never rejects. No redirect is followed. */
export type AskPlainly = (request: PlainRequest) => Promise<PlainOutcome>

export function createPlainClient(options: PlainClientOptions): AskPlainly {
  const { timeoutMs } = options
  const filter = createAddressFilter()

  const addressesFor = async (host: string, signal: AbortSignal): Promise<readonly string[]> => {
    const bare = host.replaceAll(/^\[|\]$/g, '')
    const all = isIP(bare) === 0 ? await options.addressesOf(host, signal) : [bare]
    return options.reach === 'any' ? all : all.filter((address) => filter.isPublic(address))
  }

  return async (asked) => {
    const url = httpUrl(asked.url)
    if (url === undefined) return unusable('it is no URL of plain HTTP')
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(), timeoutMs)
    try {
      const addresses = await addressesFor(url.hostname, controller.signal)
      if (addresses.length === 0) return unusable(`${url.hostname} has no address to ask`)
      const response = await send(url, asked, addresses, controller.signal)
      return await readAnswer(response, options.maxBytes)
    } catch (error) {
      if (controller.signal.aborted) return unusable(`no whole answer in ${timeoutMs} ms`)
      if (error instanceof HishoError || isOfNode(error)) return unusable(error.message)
      throw error
    } finally {
      clearTimeout(timer)
      controller.abort() // whatever is still open
    }
  }
}

function httpUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  return url.protocol === 'http:' && url.username === '' && url.hostname !== '' ? url : undefined
}

function send(
  url: URL,
  { accept, body }: PlainRequest,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method: body === undefined ? 'GET' : 'POST',
      lookup: lookUpIn(addresses),
      agent: false, // a connection of its own, closed after the answer
      signal,
      headers: {
        accept,
        'accept-encoding': 'identity',
        ...(body !== undefined && {
          'content-type': body.type,
          'content-length': body.bytes.length,
        }),
      },
    })
    sent.on('response', resolve)
    sent.on('error', reject)
    sent.end(body?.bytes)
  })
}

async function readAnswer(response: IncomingMessage, maxBytes: number): Promise<PlainOutcome> {
  if (response.statusCode !== 200) return unusable(`status ${response.statusCode}`)
  const bytes = await readBounded(response, maxBytes)
  return bytes ? { status: 'found', bytes } : unusable(`longer than ${maxBytes} bytes`)
}

/** A connection that failed, or an answer that is no HTTP. */
function isOfNode(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
}

function unusable(reason: string): PlainOutcome {
  return { status: 'unusable', reason }
}
