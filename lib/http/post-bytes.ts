// Bytes handed to a server of somebody else's over HTTPS, once and as a whole: RFC 9110 section 9.3.3. Redirects are not
// followed.
import { request } from 'node:https'
import { isIP } from 'node:net'
import { HishoError } from '../errors.ts'
import { lookUpIn } from './known-addresses.ts'
import { createAddressFilter } from './public-addresses.ts'
import { checkHostName } from './server-identity.ts'

export interface PosterOptions {
  /** Addresses of a host, none if there is no such host. Throws HishoErrors where nobody can say. */
  readonly addressesOf: (host: string, signal: AbortSignal) => Promise<readonly string[]>
  /** From the first question to the answer. */
  readonly timeoutMs: number
  /** PEM of the authorities; by default those that Node knows. */
  readonly ca?: string
  /** `any`: the certificate may be anybody's. */
  readonly certificate: 'verified' | 'any'
  /** `public`: no connection is made to an address of a private, local or special network. */
  readonly reach: 'public' | 'any'
}

export type PostOutcome =
  /** A status of 2xx. */
  { readonly status: 'accepted' } | { readonly status: 'refused'; readonly reason: string }

/** Never rejects. */
export type PostBytes = (url: URL, type: string, bytes: Uint8Array) => Promise<PostOutcome>

export function createPoster(options: PosterOptions): PostBytes {
  const { timeoutMs, reach, addressesOf } = options
  const filter = createAddressFilter()
  return async (url, type, bytes) => {
    const controller = new AbortController()
    const { signal } = controller
    const timer = setTimeout(() => controller.abort(), timeoutMs)
    try {
      const host = url.hostname.replaceAll(/^\[|\]$/g, '')
      const all = isIP(host) === 0 ? await addressesOf(host, signal) : [host]
      const addresses = reach === 'any' ? all : all.filter((address) => filter.isPublic(address))
      if (addresses.length === 0) return refused(`${host} has no address that may be used`)
      return await post(url, { type, bytes, addresses }, signal, options)
    } catch (error) {
      if (signal.aborted) return refused(`no answer in ${timeoutMs} ms`)
      if (error instanceof HishoError || error instanceof Error) return refused(error.message)
      throw error
    } finally {
      clearTimeout(timer)
      controller.abort() // whatever is still open
    }
  }
}

interface Content {
  readonly type: string
  readonly bytes: Uint8Array
  readonly addresses: readonly string[]
}

function post(
  url: URL,
  { type, bytes, addresses }: Content,
  signal: AbortSignal,
  { ca, certificate }: PosterOptions,
): Promise<PostOutcome> {
  return new Promise((resolve, reject) => {
    const sent = request(url, {
      method: 'POST',
      lookup: lookUpIn(addresses),
      minVersion: 'TLSv1.2', // RFC 8996
      rejectUnauthorized: certificate === 'verified',
      checkServerIdentity: checkHostName,
      agent: false, // a connection of its own, closed after the answer
      headers: { 'content-type': type, 'content-length': bytes.length },
      signal,
      ...(ca !== undefined && { ca }),
    })
    sent.on('response', ({ statusCode = 0 }) => {
      resolve(
        statusCode >= 200 && statusCode < 300
          ? { status: 'accepted' }
          : refused(`status ${statusCode}`),
      )
      sent.destroy()
    })
    sent.on('error', reject)
    sent.end(bytes)
  })
}

function refused(reason: string): PostOutcome {
  return { status: 'refused', reason }
}
