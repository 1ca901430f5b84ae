// A small text from a well-known place, by the rules of MTA-STS: RFC 8461 sections 3.2 and 3.3. Nothing is sent before the
// certificate is found good for the host's name, so an address of somebody else's choice leads nowhere.
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { HishoError } from '../errors.ts'
import { lookUpIn } from './known-addresses.ts'
import { checkHostName } from './server-identity.ts'

export interface TextClientOptions {
  /** Addresses of a host, none if there is no such host. Throws HishoErrors where nobody can say. */
  readonly addressesOf: (host: string, signal: AbortSignal) => Promise<readonly string[]>
  /** From the first question to the last byte. */
  readonly timeoutMs: number
  /** PEM of the authorities; by default those that Node knows. */
  readonly ca?: string
  /** Default 443. */
  readonly port?: number
  /** Default 64 KiB. */
  readonly maxBytes?: number
}

/** `absent`: no such host, or it says that there is no such text. All other failures are `unusable`. */
export type TextOutcome =
  | { readonly status: 'found'; readonly text: string }
  | { readonly status: 'absent' }
  | { readonly status: 'unusable'; readonly reason: string }

/** The path begins with `/`. Never rejects. */
export type FetchText = (host: string, path: string) => Promise<TextOutcome>

const HTTPS_PORT = 443
const MAX_BYTES = 65_536

export function createTextClient(options: TextClientOptions): FetchText {
  const { addressesOf, timeoutMs } = options
  return async (host, path) => {
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(), timeoutMs)
    try {
      const addresses = await addressesOf(host, controller.signal)
      if (addresses.length === 0) return { status: 'absent' }
      return await get(host, path, addresses, controller.signal, options)
    } catch (error) {
      if (controller.signal.aborted) return unusable(`no whole answer in ${timeoutMs} ms`)
      if (!(error instanceof HishoError)) throw error
      return unusable(error.message)
    } finally {
      clearTimeout(timer)
      controller.abort() // whatever is still open
    }
  }
}

async function get(
  host: string,
  path: string,
  addresses: readonly string[],
  signal: AbortSignal,
  { ca, port = HTTPS_PORT, maxBytes = MAX_BYTES }: TextClientOptions,
): Promise<TextOutcome> {
  const sent = request({
    host, // the name for SNI (RFC 8461 section 3.3), for the certificate, and for the Host field
    port,
    path,
    lookup: lookUpIn(addresses),
    minVersion: 'TLSv1.2', // RFC 8996
    checkServerIdentity: checkHostName,
    agent: false, // a connection of its own, closed after the answer
    headers: { accept: 'text/plain', 'accept-encoding': 'identity' },
    signal,
    ...(ca !== undefined && { ca }),
  })
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      sent.on('response', resolve)
      sent.on('error', reject)
      sent.end()
    })
    return await readResponse(response, maxBytes)
  } catch (error) {
    if (signal.aborted || !(error instanceof Error)) throw error
    return unusable(error.message)
  } finally {
    sent.destroy()
  }
}

async function readResponse(response: IncomingMessage, maxBytes: number): Promise<TextOutcome> {
  const { statusCode, headers } = response
  if (statusCode === 404 || statusCode === 410) return { status: 'absent' }
  // RFC 8461 section 3.3: redirects are not followed, and no other code will do.
  if (statusCode !== 200) return unusable(`status ${statusCode}`)
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'text/plain') return unusable(`media type ${type ?? 'missing'}`) // RFC 8461 section 3.2
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') return unusable('encoded')
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of response) {
    const bytes: Buffer = piece
    size += bytes.length
    if (size > maxBytes) return unusable(`longer than ${maxBytes} bytes`)
    pieces.push(bytes)
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces))
    return { status: 'found', text }
  } catch {
    return unusable('not UTF-8')
  }
}

function unusable(reason: string): TextOutcome {
  return { status: 'unusable', reason }
}
