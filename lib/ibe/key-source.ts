// Where the identity keys of our own domains come from: master keys in a vault here, or a KGC elsewhere.
import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { SecretBytes } from '../crypto/secret-bytes.ts'
import { createKekCache, type KekCache, type KekCacheLimits } from './kek-cache.ts'
import type { PeriodKind } from './period.ts'

/** What a master key is for. They never share one. */
export type KeyScheme = 'bf' | 'cc' | 'bb2'

export interface Generation {
  readonly n: number
  readonly period: PeriodKind
}

export interface IdentityKeyRequest {
  readonly scheme: KeyScheme
  readonly domain: string
  readonly n: number
  /** As the scheme hashes it: `formatIdentity` for bf and cc, the local part for bb2. */
  readonly identity: string
}

/** TempError vault/locked or kgc/unreachable where it cannot say now. */
export interface KeySource {
  /** The generations of a domain that are not retired, the newest first. */
  generations(domain: string, scheme: KeyScheme): Promise<readonly Generation[]>
  /** undefined: there is no such generation (retired, or never here), or no key for this identity. A copy: the caller wipes it. */
  identityKey(request: IdentityKeyRequest): Promise<SecretBytes | undefined>
}

/** A generation with its master key, which stays its owner's. */
export interface MasterKey extends Generation {
  readonly masterKey: SecretBytes
}

export interface MasterKeySourceOptions {
  /** The generations that are not retired, the newest first. TempError vault/locked while they are not to be had. */
  readonly masterKeys: (domain: string, scheme: KeyScheme) => Promise<readonly MasterKey[]>
  /** The same after a look at where they come from: one that is missing may have come a moment ago. */
  readonly latestMasterKeys?: MasterKeySourceOptions['masterKeys']
  /** The identity key under a master key of the scheme. */
  readonly extract: Readonly<
    Record<KeyScheme, (masterKey: SecretBytes, identity: string) => Promise<SecretBytes>>
  >
  readonly clock: Clock
  readonly limits?: KekCacheLimits
}

export const IDENTITY_KEY_LIMITS: KekCacheLimits = {
  maxEntries: 10_000,
  maxAgeMs: 60 * 60_000,
  maxUses: Infinity,
}

/** Identity keys held in memory only, by what they are for. */
export type IdentityKeyCache = KekCache<undefined>

function createIdentityKeyCache(
  clock: Clock,
  limits: KekCacheLimits = IDENTITY_KEY_LIMITS,
): IdentityKeyCache {
  return createKekCache<undefined>(clock, limits)
}

export interface MasterKeySource extends KeySource {
  readonly held: IdentityKeyCache
}

/** Keys from master keys that are at hand: each is extracted once and held for an hour. */
export function createMasterKeySource(options: MasterKeySourceOptions): MasterKeySource {
  const { masterKeys, latestMasterKeys = masterKeys, extract, clock, limits } = options
  const held = createIdentityKeyCache(clock, limits)
  return {
    held,
    generations: async (domain, scheme) =>
      (await masterKeys(domain, scheme)).map(({ n, period }) => ({ n, period })),
    async identityKey({ scheme, domain, n, identity }) {
      const find = (all: readonly MasterKey[]) => all.find((known) => known.n === n)
      const found =
        find(await masterKeys(domain, scheme)) ?? find(await latestMasterKeys(domain, scheme))
      if (found === undefined) return undefined
      // The master key is in the name: another one under the same serial gives other keys.
      const name = `${scheme} ${fingerprint(found.masterKey)} ${identity}`
      const { secret } = await held.take(name, async () => ({
        secret: await extract[scheme](found.masterKey, identity),
        open: undefined,
      }))
      return secret
    },
  }
}

function fingerprint(key: SecretBytes): string {
  return createHash('sha256').update(key.bytes).digest('base64')
}
