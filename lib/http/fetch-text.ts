// A small text from a well-known place, by the rules of MTA-STS: RFC 8461 sections 3.2 and 3.3.
import { createBytesClient, type BytesClientOptions } from './fetch-bytes.ts'

export type TextClientOptions = Omit<BytesClientOptions, 'mediaType'>

/** `absent`: no such host, or it says that there is no such text. All other failures are `unusable`. */
export type TextOutcome =
  | { readonly status: 'found'; readonly text: string }
  | { readonly status: 'absent' }
  | {
      readonly status: 'unusable'
      /** `certificate`: nothing vouches for the host: its chain, its dates or its name. */
      readonly failure: 'certificate' | 'other'
      readonly reason: string
    }

/** The path begins with `/`. Never rejects. */
export type FetchText = (host: string, path: string) => Promise<TextOutcome>

export function createTextClient(options: TextClientOptions): FetchText {
  // RFC 8461 section 3.2
  const fetchBytes = createBytesClient({ ...options, mediaType: 'text/plain' })
  return async (host, path) => {
    const outcome = await fetchBytes(host, path)
    if (outcome.status === 'absent') return { status: 'absent' }
    if (outcome.status === 'unusable') {
      const failure = outcome.failure === 'certificate' ? 'certificate' : 'other'
      return { status: 'unusable', failure, reason: outcome.reason }
    }
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(outcome.bytes)
      return { status: 'found', text }
    } catch {
      return { status: 'unusable', failure: 'other', reason: 'not UTF-8' }
    }
  }
}
