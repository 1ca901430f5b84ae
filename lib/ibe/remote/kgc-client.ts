// The KGC as a gateway may ask it. What it says is not believed here: that is the key source's part.
import { PermError, TempError } from '../../errors.ts'
import type { IdentityKeyRequest, KeyScheme } from '../key-source.ts'
import type { KgcConnection, KgcReply } from './connection.ts'
import {
  formatGenerationsPath,
  formatKeyRequest,
  IDENTITY_KEY_PATH,
  parseGenerations,
  parseIssuedKey,
  parseRefusal,
  type IssuedKey,
  type PublicGeneration,
} from './protocol.ts'

export type KeyAnswer =
  | ({ readonly status: 'issued' } & IssuedKey)
  | { readonly status: 'no-such-generation' | 'outside-window' }

/** TempError kgc/unreachable: not now. TempError kgc/refused: an operator has to mend something. */
export interface KgcClient {
  /** The newest first. */
  generations(domain: string, scheme: KeyScheme): Promise<readonly PublicGeneration[]>
  identityKey(request: IdentityKeyRequest): Promise<KeyAnswer>
  close(): void
}

export function createKgcClient(connection: KgcConnection): KgcClient {
  return {
    async generations(domain, scheme) {
      const target = formatGenerationsPath(domain, scheme)
      const reply = await connection.ask({ method: 'GET', target })
      if (reply.status === 200) return parsed(() => parseGenerations(reply.text, scheme))
      throw refusalError(reply, domain)
    },
    async identityKey(request) {
      const body = formatKeyRequest(request)
      const reply = await connection.ask({ method: 'POST', target: IDENTITY_KEY_PATH, body })
      if (reply.status === 200) {
        return { status: 'issued', ...parsed(() => parseIssuedKey(reply.text, request.scheme)) }
      }
      const refusal = parseRefusal(reply.status, reply.text)
      if (refusal === 'no-such-generation' || refusal === 'outside-window')
        return { status: refusal }
      throw refusalError(reply, request.domain)
    },
    close: () => connection.close(),
  }
}

/** Mail waits, whatever the KGC says that makes no sense. */
function parsed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (!(cause instanceof PermError)) throw cause
    throw new TempError(cause.code, `the KGC answers what is no answer: ${cause.message}`, {
      cause,
    })
  }
}

function refusalError({ status, text }: KgcReply, domain: string): TempError {
  const refusal = parseRefusal(status, text)
  switch (refusal) {
    case 'not-for-this-gateway':
      return refused(`the KGC does not have this gateway on its list for ${domain}`)
    case 'malformed':
    case 'no-such-generation':
    case 'outside-window':
      return refused(`the KGC refuses the request as ${refusal}`)
    case 'rate-limited':
    case 'locked':
    case 'unavailable':
      return new TempError('kgc/unreachable', `the KGC answers: ${refusal}`)
    case undefined:
      return new TempError('kgc/unreachable', `status ${status} is no answer of a KGC`)
  }
}

function refused(message: string): TempError {
  return new TempError('kgc/refused', message)
}
