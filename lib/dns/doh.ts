// A resolver that asks one other over HTTPS: RFC 8484.
import { HishoError, TempError } from '../errors.ts'
import { answerIn } from './ask.ts'
import { withDeadline } from './deadline.ts'
import { createHttpsSession, type HttpsSessionOptions } from './https-session.ts'
import { formatQuery, parseResponse, type Query, type Reply } from './message.ts'
import { createResolverOver, type Resolver } from './resolver.ts'

export interface DohOptions extends HttpsSessionOptions {
  /** Whether its AD bit is believed. */
  readonly trusted: boolean
  readonly tries: number
}

export interface DohResolver extends Resolver {
  close(): void
}

/** A failure of one of `tries` is followed by the next one, on another connection if this one was silent. */
export function createDohResolver(options: DohOptions): DohResolver {
  const { url, trusted, timeoutMs, tries } = options
  const session = createHttpsSession(options)

  const askOnce = async (query: Query, signal: AbortSignal): Promise<Reply> => {
    const bytes = await session.post(formatQuery(query), signal)
    const response = parseResponse(bytes, query)
    if (response === 'broken' || response === 'stray')
      throw new TempError('dns/malformed', 'sent what is no answer')
    return { response: answerIn(response), trusted }
  }

  const resolver = createResolverOver(timeoutMs * tries, async (name, type, signal) => {
    const failures: string[] = []
    for (let left = tries; ; left -= 1) {
      try {
        // The id is 0, for the sake of caches: RFC 8484 section 4.1.
        return await withDeadline(timeoutMs, signal, (limited) =>
          askOnce({ id: 0, name, type, edns: true }, limited),
        )
      } catch (error) {
        if (signal.aborted || !(error instanceof HishoError)) throw error
        if (error.code === 'dns/timeout') session.drop()
        failures.push(error.message)
        if (left > 1 && error.code !== 'dns/servfail' && error.code !== 'dns/refused') continue
        const told = `${name} ${type}: ${url.host} ${failures.join('; ')}`
        throw new TempError(error.code, told, { cause: error })
      }
    }
  })
  return { ...resolver, close: () => session.close() }
}
