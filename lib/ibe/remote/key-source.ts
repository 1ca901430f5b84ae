// Identity keys from a KGC elsewhere: asked for when they are needed, checked before they are used, held in memory only.
import { createSingleFlight } from '../../cache/single-flight.ts'
import type { Clock } from '../../clock.ts'
import { SecretBytes } from '../../crypto/secret-bytes.ts'
import { TempError } from '../../errors.ts'
import { createKekCache, type Held } from '../kek-cache.ts'
import {
  IDENTITY_KEY_LIMITS,
  type IdentityKeyRequest,
  type KeyScheme,
  type KeySource,
} from '../key-source.ts'
import type { Approval } from './approval.ts'
import type { KgcClient } from './kgc-client.ts'
import { recordOf } from './pins.ts'
import type { PublicGeneration } from './protocol.ts'
import { judgeIdentity } from './window.ts'

/** Whether these bytes are the identity key under the master key of a public key. They stay the caller's. */
export type CheckIdentityKey = (question: {
  readonly publicKey: Uint8Array
  readonly identity: string
  readonly identityKey: SecretBytes
}) => Promise<boolean>

export interface RemoteKeySourceOptions {
  readonly client: KgcClient
  /** Others' domains are never asked for: mail for them may pass through, sealed. */
  readonly isOurs: (domain: string) => boolean
  readonly approval: Approval
  readonly check: Readonly<Record<KeyScheme, CheckIdentityKey>>
  readonly clock: Clock
  readonly log: (level: 'notice' | 'error', message: string) => void
}

export interface RemoteKeySource extends KeySource {
  readonly held: { readonly size: number }
  /** Wipes every key and closes the connection. */
  close(): void
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
const GENERATIONS_MS = MINUTE_MS
/** While the KGC is away. */
const GENERATIONS_AWAY_MS = 10 * MINUTE_MS
const ASK_AGAIN_MS = 5_000
/** Even if a generation is missing again and again. */
const ASK_ANEW_MS = 1_000
const SWEEP_MS = MINUTE_MS

/** Beyond any KGC's window: not even asked for, so that no flood of strange identities reaches the KGC. */
const WIDEST = { pastMs: 366 * DAY_MS, skewMs: DAY_MS }
const NO_WINDOW = { pastMs: 0, skewMs: 0 }

interface KnownGenerations {
  readonly list: readonly PublicGeneration[]
  readonly atMs: number
}

export function createRemoteKeySource(options: RemoteKeySourceOptions): RemoteKeySource {
  const { client, approval, check, clock, log } = options
  const held = createKekCache<{ readonly untilMs: number }>(clock, IDENTITY_KEY_LIMITS)
  const sweeper = setInterval(() => held.sweep(), SWEEP_MS).unref()
  const known = new Map<string, KnownGenerations>()
  const flights = createSingleFlight<readonly PublicGeneration[]>()
  let awaySinceMs: number | undefined

  /** Says once that the KGC is away, and once that it is back. */
  const asking = async <T>(ask: () => Promise<T>): Promise<T> => {
    try {
      const value = await ask()
      if (awaySinceMs !== undefined) log('notice', 'the KGC answers again')
      awaySinceMs = undefined
      return value
    } catch (error) {
      if (isUnreachable(error)) {
        if (awaySinceMs === undefined)
          log('error', `${error.message}; mail that needs a key that is not held is deferred`)
        awaySinceMs = clock.nowMs()
      } else if (error instanceof TempError) log('error', error.message)
      throw error
    }
  }

  const askGenerations = (
    domain: string,
    scheme: KeyScheme,
  ): Promise<readonly PublicGeneration[]> => {
    const name = `${scheme} ${domain}`
    return flights.fetchOnce(name, async () => {
      const list = await asking(() => client.generations(domain, scheme))
      known.set(name, { list, atMs: clock.nowMs() })
      return list
    })
  }

  const ageOf = (atMs: number | undefined): number =>
    atMs === undefined ? Infinity : Math.abs(clock.nowMs() - atMs)

  const generationsOf = async (
    domain: string,
    scheme: KeyScheme,
  ): Promise<readonly PublicGeneration[]> => {
    if (!options.isOurs(domain)) return []
    const before = known.get(`${scheme} ${domain}`)
    const age = ageOf(before?.atMs)
    const stillGood = before !== undefined && age < GENERATIONS_AWAY_MS
    if (stillGood && (age < GENERATIONS_MS || ageOf(awaySinceMs) < ASK_AGAIN_MS)) return before.list
    try {
      return await askGenerations(domain, scheme)
    } catch (error) {
      // Only keys that are held are of use with it: for others the KGC is asked, and is away.
      if (isUnreachable(error) && stillGood) return before.list
      throw error
    }
  }

  /** One that is missing may have come a moment ago: the KGC is asked before mail under it is called unknown. */
  const generationOf = async ({
    scheme,
    domain,
    n,
  }: IdentityKeyRequest): Promise<PublicGeneration | undefined> => {
    const find = (list: readonly PublicGeneration[]) => list.find((one) => one.n === n)
    const found = find(await generationsOf(domain, scheme))
    if (found !== undefined || !options.isOurs(domain)) return found
    if (ageOf(known.get(`${scheme} ${domain}`)?.atMs) < ASK_ANEW_MS) return undefined
    return find(await askGenerations(domain, scheme))
  }

  const fetchKey = async (
    request: IdentityKeyRequest,
    generation: PublicGeneration,
  ): Promise<Held<{ readonly untilMs: number }>> => {
    const { scheme, domain, n, identity } = request
    const answer = await asking(() => client.identityKey(request))
    if (answer.status === 'outside-window' && isCurrent(request, generation, clock)) {
      throw refused(`it says that ${identity} is not of this time: compare its clock with ours`)
    }
    if (answer.status !== 'issued') throw new NoKey()
    const secret = new SecretBytes(answer.key)
    const { publicKey } = generation
    if (!(await check[scheme]({ publicKey, identity, identityKey: secret }))) {
      secret.wipe()
      throw refused(`its key for ${identity} is not one of a=${scheme} n=${n} of ${domain}`)
    }
    return { secret, open: { untilMs: (answer.untilSeconds ?? Infinity) * 1000 } }
  }

  const refused = (what: string): TempError => {
    const error = new TempError('kgc/refused', `the KGC is not believed: ${what}`)
    log('error', error.message)
    return error
  }

  const identityKey = async (request: IdentityKeyRequest): Promise<SecretBytes | undefined> => {
    const { scheme, domain, n, identity } = request
    const generation = await generationOf(request)
    if (generation === undefined) return undefined
    const { period, publicKey } = generation
    if (judgeIdentity(request, period, WIDEST, clock.nowMs()).status !== 'inside') return undefined
    const verdict = await approval.judge(domain, recordOf(scheme, generation))
    if (verdict === 'other')
      throw refused(`a=${scheme} n=${n} of ${domain} has another public key than is pinned`)
    if (verdict === 'unknown') throw refused(unpinned(domain, scheme, n))
    const name = [scheme, domain, Buffer.from(publicKey).toString('base64'), identity].join(' ')
    const { secret, open } = await held.take(name, () => fetchKey(request, generation))
    if (clock.nowMs() < open.untilMs) return secret
    secret.wipe()
    return (await fetchKey(request, generation)).secret
  }

  return {
    held,
    async generations(domain, scheme) {
      const list = await generationsOf(domain, scheme)
      const verdicts = await Promise.all(
        list.map((generation) => approval.judge(domain, recordOf(scheme, generation))),
      )
      const other = list.find((_, at) => verdicts[at] === 'other')
      if (other)
        throw refused(`a=${scheme} n=${other.n} of ${domain} has another public key than is pinned`)
      // A generation that is not published yet is not to be used: the ones before it are.
      const good = list.filter((_, at) => verdicts[at] === 'same')
      if (list.length > 0 && good.length === 0) throw refused(unpinned(domain, scheme, list[0]!.n))
      return good.map(({ n, period }) => ({ n, period }))
    },
    async identityKey(request) {
      try {
        return await identityKey(request)
      } catch (error) {
        if (error instanceof NoKey) return undefined
        throw error
      }
    },
    close() {
      clearInterval(sweeper)
      held.clear()
      client.close()
    },
  }
}

/** There is none, and there will be none: an outcome, thrown through the cache that keeps no absences. */
class NoKey extends Error {}

function unpinned(domain: string, scheme: KeyScheme, n: number): string {
  return `a=${scheme} n=${n} of ${domain} is neither pinned nor published by the domain; if it is right: hisho kgc trust`
}

function isUnreachable(error: unknown): error is TempError {
  return error instanceof TempError && error.code === 'kgc/unreachable'
}

function isCurrent(
  request: IdentityKeyRequest,
  generation: PublicGeneration,
  clock: Clock,
): boolean {
  return judgeIdentity(request, generation.period, NO_WINDOW, clock.nowMs()).status === 'inside'
}
