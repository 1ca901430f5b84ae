// What a KGC answers: who asks, for what, whether he may have it, and the line in the audit log before a key goes out.
import type { Clock } from '../../clock.ts'
import type { SecretBytes } from '../../crypto/secret-bytes.ts'
import { PermError, TempError } from '../../errors.ts'
import type { IdentityKeyRequest, KeyScheme } from '../key-source.ts'
import type { AuditEntry, AuditLog } from './audit.ts'
import {
  formatGenerations,
  formatIssuedKey,
  formatRefusal,
  GENERATIONS_PATH,
  IDENTITY_KEY_PATH,
  parseGenerationsQuery,
  parseKeyRequest,
  REFUSALS,
  type PublicGeneration,
  type Refusal,
} from './protocol.ts'
import type { RateLimit } from './rate.ts'
import { judgeIdentity, type Window } from './window.ts'

/** The generations with their public keys, and the keys themselves: TempError vault/locked where it cannot say now. */
export interface KeyCentre {
  generations(domain: string, scheme: KeyScheme): Promise<readonly PublicGeneration[]>
  identityKey(request: IdentityKeyRequest): Promise<SecretBytes | undefined>
}

export interface HandlerOptions {
  readonly centre: KeyCentre
  readonly window: Window
  readonly rate: RateLimit
  readonly audit: AuditLog
  readonly clock: Clock
  readonly log: (level: 'error', message: string) => void
}

/** Who asks, as TLS has shown. */
export interface Asker {
  /** Its name in the list of gateways; undefined: not on it. */
  readonly gateway: string | undefined
  readonly domains: ReadonlySet<string>
  readonly certificate: string
}

export interface KgcRequest {
  readonly method: string
  /** Path and query. */
  readonly target: string
  /** undefined: too large, or not UTF-8. */
  readonly body: string | undefined
}

export interface KgcAnswer {
  readonly status: number
  /** To be wiped when it is sent: it may hold a key. */
  readonly body: Uint8Array
}

export type KgcHandler = (asker: Asker, request: KgcRequest) => Promise<KgcAnswer>

type About = Omit<AuditEntry, 'outcome' | 'gateway' | 'certificate'>

/** Never rejects, and never says more than a word of what went wrong. */
export function createKgcHandler(options: HandlerOptions): KgcHandler {
  const { audit, log, rate } = options

  const record = (asker: Asker, about: About, outcome: AuditEntry['outcome']): Promise<void> => {
    const { gateway, certificate } = asker
    return audit.write({ gateway, certificate, ...about, outcome }).catch((cause: unknown) => {
      log('error', `the audit log cannot be written: ${messageOf(cause)}; no key is given out`)
      throw new Refused('unavailable', { cause })
    })
  }

  return async (asker, request) => {
    let about: About = {}
    try {
      if (asker.gateway === undefined) throw new Refused('not-for-this-gateway')
      if (!rate.take(asker.gateway)) throw new Refused('rate-limited')
      const asked = parseRequest(request)
      about = asked.about
      if (!asker.domains.has(asked.domain)) throw new Refused('not-for-this-gateway')
      if (asked.kind === 'generations') {
        const generations = await options.centre.generations(asked.domain, asked.scheme)
        return { status: 200, body: formatGenerations(generations) }
      }
      const issued = await issue(asked.request, options)
      try {
        await record(asker, about, 'issued')
        return { status: 200, body: formatIssuedKey({ ...issued, key: issued.key.bytes }) }
      } finally {
        issued.key.wipe()
      }
    } catch (error) {
      const refusal = refusalOf(error, log)
      // What any mail can provoke must not use up what the gateway needs for good mail.
      if (FREE.has(refusal) && asker.gateway !== undefined) rate.giveBack(asker.gateway)
      await record(asker, about, refusal).catch(() => {}) // said in the log
      return refuse(refusal)
    }
  }
}

const FREE: ReadonlySet<Refusal> = new Set(['no-such-generation', 'outside-window', 'locked'])

class Refused extends Error {
  readonly refusal: Refusal
  constructor(refusal: Refusal, options?: ErrorOptions) {
    super(refusal, options)
    this.refusal = refusal
  }
}

function refuse(refusal: Refusal): KgcAnswer {
  return { status: REFUSALS[refusal], body: formatRefusal(refusal) }
}

type Asked =
  | {
      readonly kind: 'key'
      readonly domain: string
      readonly about: About
      readonly request: IdentityKeyRequest
    }
  | {
      readonly kind: 'generations'
      readonly domain: string
      readonly about: About
      readonly scheme: KeyScheme
    }

function parseRequest({ method, target, body }: KgcRequest): Asked {
  const mark = target.indexOf('?')
  const [path, query] = mark === -1 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)]
  if (method === 'POST' && target === IDENTITY_KEY_PATH && body !== undefined) {
    const request = parseKeyRequest(body)
    return { kind: 'key', domain: request.domain, about: request, request }
  }
  if (method === 'GET' && path === GENERATIONS_PATH) {
    const { domain, scheme } = parseGenerationsQuery(query)
    return { kind: 'generations', domain, about: { domain, scheme }, scheme }
  }
  throw new Refused('malformed')
}

async function issue(
  request: IdentityKeyRequest,
  { centre, clock, window }: HandlerOptions,
): Promise<{ readonly key: SecretBytes; readonly untilSeconds?: number }> {
  const generations = await centre.generations(request.domain, request.scheme)
  const generation = generations.find(({ n }) => n === request.n)
  if (generation === undefined) throw new Refused('no-such-generation')
  const verdict = judgeIdentity(request, generation.period, window, clock.nowMs())
  if (verdict.status !== 'inside')
    throw new Refused(verdict.status === 'outside' ? 'outside-window' : 'malformed')
  const key = await centre.identityKey(request)
  if (key === undefined) throw new Refused('no-such-generation') // retired at this moment
  if (verdict.untilMs === Infinity) return { key }
  return { key, untilSeconds: Math.floor(verdict.untilMs / 1000) }
}

function refusalOf(error: unknown, log: HandlerOptions['log']): Refusal {
  if (error instanceof Refused) return error.refusal
  if (error instanceof PermError && error.code === 'kgc/refused') return 'malformed'
  if (error instanceof TempError && error.code === 'vault/locked') return 'locked'
  log('error', `no key is given out: ${messageOf(error)}`)
  return 'unavailable'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown cause'
}
